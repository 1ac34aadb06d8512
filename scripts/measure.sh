#!/bin/sh
# Measures the shipped weights again: docs/results/*.json, the tables of the documents, the pictures.
#   MULTISTAR_REAL_DATA=FOLDER sh scripts/measure.sh        or        make results
# About two hours on two cores. What is done is remembered for these weights in mini/measured, so that
# an interrupted run goes on; remove a file there to measure a part again. Run it on a clean checkout:
# every result names the commit.
set -eu
cd "$(dirname "$0")/.."
data=${MULTISTAR_REAL_DATA:?name the folder of real data}
python=.venv/bin/python
multistar=.venv/bin/multistar
weights=$("$python" -c 'from multistar.model.checkpoint import load_model; print(load_model("mini").hash[:8])')
done=mini/measured/$weights
mkdir -p "$done"
part() {
    name=$1
    shift
    test -e "$done/$name" && return
    echo "== $name"
    "$@"
    touch "$done/$name"
}
mock() {
    test -e "mini/$1.parquet" ||
        "$multistar" mock --stars "$2" --seed "$3" --selection "$4" $5 --out "mini/$1.parquet"
}
curves=$data/lightcurves
mkdir -p mini/test
mock test/giants 110000 901 apogee-like ""
mock test/curves 12000 902 kepler-like "--light-curves kepler --views"
mock test/curves-asked 4000 903 kepler-like "--light-curves kepler --views"
part labels "$python" scripts/benchmark_labels.py mini --train mini/test/giants.parquet \
    --held-out 0.09 --cache "$done/labels-cache"
part known "$python" scripts/benchmark_known.py
part sky "$multistar" check sky "$data" --model mini --out "$done/sky-report" --overwrite
cp "$done/sky-report/sky.json" docs/results/
part spectra "$python" scripts/evaluate_spectra.py "$data"
part surveys "$python" scripts/evaluate_surveys.py --stars 4000 --steps 2000
part variability "$python" scripts/evaluate_variability.py \
    --gaia "$curves/gaia_dr3_epoch_photometry.parquet" \
    --labels "$curves/gaia_dr3_variability_labels.csv" \
    --asas "$curves/asas_debosscher.parquet" --cache "$done/variability-cache"
part alignment "$python" scripts/evaluate_alignment.py mini --train mini/test/curves.parquet \
    --test mini/test/curves-asked.parquet --train-pairs 12000
part modalities "$python" scripts/benchmark_modalities.py --train mini/test/curves.parquet \
    --test mini/test/curves-asked.parquet --light-curves mini --core mini --fused mini
part given "$python" scripts/evaluate_given.py "$data"
part sampled_xp "$python" scripts/evaluate_sampled_xp.py \
    "$data/xp/gaia_dr3_xp_continuous_field.fits"
part real_xp "$python" scripts/evaluate_real_xp.py "$data/xp/gaia_dr3_xp_continuous_field.fits" \
    --known "$data/xp/gaia_dr3_xp_continuous_calspec10.csv" --odd "$data/xp/gaia_dr3_xp_exotic.parquet"
part domain_shift "$python" scripts/evaluate_shift.py "$data" --cache "$done/shift-cache" \
    --part lamost giants field
part reddening "$python" scripts/evaluate_reddening.py "$data" --cache "$done/reddening-cache"
part own_survey "$python" scripts/evaluate_own_survey.py --data "$data"
part fine_tuning "$python" scripts/evaluate_real.py "$data" --cache "$done/fine-tuning-cache" \
    --seeds 0 --folds 0 1
part startup "$python" scripts/benchmark_startup.py
part speed "$python" scripts/benchmark_speed.py
part pictures "$python" scripts/draw_pictures.py
"$python" scripts/write_tables.py
