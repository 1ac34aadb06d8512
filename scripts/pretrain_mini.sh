#!/bin/sh
# Trains multistar-mini from nothing and measures it: about nine hours on two cores. An interrupted
# run goes on. The measurements stand in docs/results.
# With MULTISTAR_REAL_DATA, the folder of the real data, its XP spectra of field stars join as
# targets, as they did for the shipped weights; without it the model knows mock stars alone.
# The shipped weights were made this way, with these differences, since the mock was mended on the way:
# - the core's 22,000 steps saw errors that were functions of the magnitude alone, and too little dust;
# - the encoder of light curves began as that of weights of before (c1c38484), on a mock with few kinds
#   of variables;
# - the joint run was three: 3,000 steps after errors scattered as they do now; 4,500 more, the last
#   500 of them with XP truncated star by star; then the centres of Pan-STARRS and WISE colours were
#   moved by what their zero points had lacked, and 2,200 steps followed on tables of the present
#   mock, with its dust and zero points (seeds 301-311, 411-419).
# Then the encoder of spectra was added (spectra.toml, mini_spectra.toml) while all else stood still,
# 6,000 and 4,000 steps of 128; all learnt together (mini_everything.toml, mini_final.toml), three
# quarters of an hour; and eight times on tables of later mocks (mini_sky*.toml, in the order of below).
# The tables of those runs were of the mock of their day:
# - sky3's light curves, and all tables of the run before, had spectra on a scale of temperature that
#   was hotter by 30 K; sky5 drew half of the mismatch of XP;
# - up to sky5, XP and the zero points of Pan-STARRS and WISE were those of before stars of HST told them;
# - in sky7, XP of cool giants had the response of dwarfs; in sky7 and sky9, XP's ends (BP beyond 640 nm,
#   RP below) had another response;
# - sky12 was sky9, its XP multiplied by the ratio of the responses: half of the coefficients differ by
#   less than 0.1 errors from what is made here, a hundredth of BP's by more than 4. Its XP below 340 nm
#   was too faint by 12-30 %.
# A new run is not the same to the bit.
set -eu
cd "$(dirname "$0")/.."
multistar=.venv/bin/multistar
mkdir -p mini/lc mini/spectra
mock() {
    test -e "mini/$1.parquet" ||
        "$multistar" mock --stars "$2" --seed "$3" --selection "$4" --out "mini/$1.parquet"
}
curves() {
    test -e "mini/$1.parquet" ||
        "$multistar" mock --stars "$2" --seed "$3" --selection "$4" --light-curves "$5" --views \
            --out "mini/$1.parquet"
}
mock giants 150000 201 apogee-like
mock everything 220000 203 everything
mock high-latitude 170000 204 high-latitude
mock young 90000 205 young
mock nearby 60000 206 nearby
mock halo 80000 207 halo
mock kepler 50000 208 kepler-like
spectra() {
    test -e "mini/$1.parquet" ||
        "$multistar" mock --stars "$2" --seed "$3" --selection "$4" --spectra "$5" \
            --out "mini/$1.parquet"
}
# The tables with optical spectra and those with light curves, in a folder; seeds follow two numbers.
all_spectra() {
    spectra "$1/everything-lamost" 14000 $(($2 + 1)) everything lamost-like
    spectra "$1/giants-sdss" 14000 $(($2 + 2)) apogee-like sdss-like
    spectra "$1/high-latitude-desi" 10000 $(($2 + 3)) high-latitude desi-like
    spectra "$1/halo-lamost" 8000 $(($2 + 4)) halo lamost-like
    spectra "$1/young-blue" 6000 $(($2 + 5)) young blue
    spectra "$1/nearby-sdss" 6000 $(($2 + 6)) nearby sdss-like
    spectra "$1/giants-normalised" 8000 $(($2 + 7)) apogee-like normalised
    spectra "$1/everything-low" 8000 $(($2 + 8)) everything low-resolution
    spectra "$1/everything-normalised" 6000 $(($2 + 9)) everything normalised
    spectra "$1/kepler-lamost" 8000 $(($2 + 10)) kepler-like lamost-like
}
all_curves() {
    curves "$1/giants" 12000 $(($2 + 25)) kepler-like kepler
    curves "$1/bright" 8000 $(($2 + 26)) bright kepler
    curves "$1/bright-tess" 5000 $(($2 + 35)) bright tess
    curves "$1/pulsators-gaia" 12000 $(($2 + 21)) pulsators gaia
    curves "$1/pulsators-kepler" 4000 $(($2 + 27)) pulsators kepler
    curves "$1/pulsators-tess" 4000 $(($2 + 28)) pulsators tess
    curves "$1/pulsators-ztf" 6000 $(($2 + 31)) pulsators ztf
    curves "$1/binaries-gaia" 9000 $(($2 + 23)) close-binaries gaia
    curves "$1/binaries-kepler" 4000 $(($2 + 29)) close-binaries kepler
    curves "$1/binaries-tess" 4000 $(($2 + 30)) close-binaries tess
    curves "$1/binaries-ztf" 5000 $(($2 + 32)) close-binaries ztf
    curves "$1/variables-asas" 16000 $(($2 + 22)) bright-variables asas
    curves "$1/all-sky-gaia" 6000 $(($2 + 33)) all-sky gaia
    curves "$1/all-sky-asas" 4000 $(($2 + 34)) bright asas
}
all_spectra spectra 500
all_curves lc 600
curves lc/giants-test 4000 636 kepler-like kepler
curves lc/populations 12000 24 bright kepler
mkdir -p mini/core2
mock core2/giants 100000 601 apogee-like
mock core2/everything 160000 602 everything
mock core2/high-latitude 120000 603 high-latitude
mock core2/young 60000 604 young
mock core2/nearby 40000 605 nearby
mock core2/halo 60000 606 halo
mock core2/kepler 30000 607 kepler-like
sampled() {
    test -e "mini/$1.parquet" ||
        "$multistar" mock --stars "$2" --seed "$3" --selection "$4" --sampled --out "mini/$1.parquet"
}
mkdir -p mini/sky3/lc mini/sky3/spectra
mock sky3/kepler 40000 707 kepler-like
mock sky3/everything 90000 702 everything
mock sky3/high-latitude 70000 703 high-latitude
mock sky3/giants 70000 701 apogee-like
mock sky3/nearby 50000 705 nearby
mock sky3/halo 30000 706 halo
mock sky3/young 30000 704 young
mock sky3/clusters 40000 708 clusters
sampled sky3/sampled 20000 709 everything
sampled sky3/sampled-giants 10000 710 apogee-like
all_spectra sky3/spectra 530
all_curves sky3/lc 700
# Of a later run, in a folder, the tables with XP and photometry; seeds follow a number.
all_stars() {
    mkdir -p "mini/$1"
    mock "$1/giants" 90000 $(($2 + 1)) apogee-like
    mock "$1/everything" 120000 $(($2 + 2)) everything
    mock "$1/high-latitude" 90000 $(($2 + 3)) high-latitude
    mock "$1/young" 30000 $(($2 + 4)) young
    mock "$1/nearby" 80000 $(($2 + 5)) nearby
    mock "$1/halo" 30000 $(($2 + 6)) halo
    mock "$1/kepler" 50000 $(($2 + 7)) kepler-like
    mock "$1/clusters" 30000 $(($2 + 8)) clusters
    sampled "$1/sampled" 20000 $(($2 + 9)) everything
    sampled "$1/sampled-giants" 10000 $(($2 + 10)) apogee-like
}
# And those with optical spectra and with light curves.
all_tables() {
    mkdir -p "mini/$1/lc" "mini/$1/spectra"
    all_stars "$1" "$2"
    all_spectra "$1/spectra" $(($2 + 30))
    all_curves "$1/lc" "$2"
}
all_stars sky5 1700
all_tables sky7 1800
all_tables sky9 1900 # its run reads a part of them
test -e mini/sky12 || ln -s sky9 mini/sky12 # the same stars
all_tables sky14 2000
sky=${MULTISTAR_REAL_DATA:+$MULTISTAR_REAL_DATA/xp/gaia_dr3_xp_continuous_field.fits}
test -e mini/core || "$multistar" pretrain scripts/mini.toml ${sky:+--sky "$sky"}
test -e mini/lc/model || "$multistar" pretrain scripts/light_curves.toml
test -e mini/joint || "$multistar" pretrain scripts/mini_joint.toml ${sky:+--sky "$sky"}
python=.venv/bin/python
test -e mini/spectra/model || "$multistar" pretrain scripts/spectra.toml
test -e mini/with-spectra || "$multistar" pretrain scripts/mini_spectra.toml
test -e mini/everything ||
    "$multistar" pretrain scripts/mini_everything.toml ${sky:+--sky "$sky"}
test -e mini/final || "$multistar" pretrain scripts/mini_final.toml ${sky:+--sky "$sky"}
test -e mini/sky1 || "$multistar" pretrain scripts/mini_sky.toml ${sky:+--sky "$sky"}
test -e mini/sky || "$multistar" pretrain scripts/mini_sky_again.toml ${sky:+--sky "$sky"}
test -e mini/sky2 || "$multistar" pretrain scripts/mini_sky_last.toml ${sky:+--sky "$sky"}
test -e mini/sky6 || "$multistar" pretrain scripts/mini_sky_long.toml ${sky:+--sky "$sky"}
test -e mini/sky8 || "$multistar" pretrain scripts/mini_sky_hst.toml ${sky:+--sky "$sky"}
test -e mini/sky10 || "$multistar" pretrain scripts/mini_sky_giants.toml ${sky:+--sky "$sky"}
test -e mini/sky13 || "$multistar" pretrain scripts/mini_sky_ends.toml ${sky:+--sky "$sky"}
if ! test -e mini/sky15; then
    "$multistar" pretrain scripts/mini_sky_blue.toml ${sky:+--sky "$sky"}
    "$python" scripts/fit_alignment.py mini/sky15 --run scripts/mini_sky_blue.toml
fi
mock sky14/erase-giants 16000 2041 apogee-like
mock sky14/erase-sky 24000 2042 everything
test -e mini/sky15/erase_ebv.safetensors ||
    "$multistar" erase mini/sky14/erase-giants.parquet mini/sky14/erase-sky.parquet \
        --model mini/sky15 --quantity dust --out mini/sky15/erase_ebv.safetensors
test -e mini/sky15/populations.safetensors ||
    "$python" scripts/fit_populations.py mini/sky15 --run scripts/mini_sky_blue.toml
"$python" scripts/benchmark_labels.py mini/sky15 --train mini/giants.parquet \
    --held-out 0.03 --cache mini/benchmark --no-parallax
"$python" scripts/benchmark_modalities.py --train mini/lc/giants.parquet \
    --test mini/lc/giants-test.parquet --light-curves mini/lc/model --core mini/core \
    --fused mini/sky15
"$python" scripts/evaluate_alignment.py mini/sky15 --train mini/lc/giants.parquet \
    --test mini/lc/giants-test.parquet --train-pairs 12000
"$multistar" check populations mini/lc/populations.parquet --model mini/sky15 \
    --out mini/populations --overwrite
