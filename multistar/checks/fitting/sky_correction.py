"""What real stars of known labels show beyond the model spectra: a correction of ln F.

The correction of ln F(wavelength; Teff, log g, [M/H]) is a Gaussian process: smooth in wavelength
and in the labels, zero where no star says otherwise. It is fitted to all anchors at once:

- spectra of MILES, STELIB, Pickles and CALSPEC in bins, with a free level for every star, and
  errors that hold those of its labels, of its dust and a slow tilt;
- magnitudes of LAMOST dwarfs and Kepler giants, likewise, which tie 740 nm to 4.6 um;
- Gaia XP spectra of field stars beyond 650 nm (xp_anchors.py);
- the Sun: its spectrum, and its magnitudes in the infrared.

The temperature scale of every survey has a free constant for dwarfs and one for giants; that of
the Sun has none. Labels are
interpolated by the features of a Nystroem approximation (Rasmussen & Williams 2006, chapter 8).
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import cho_solve, solve_triangular

SOLAR = 5772.0, 4.438, 0.0  # Teff [K], log g, [M/H]
# nm: between these the correction is linear.
KNOTS = np.r_[
    285, 300, 320, 340, np.arange(355.0, 750, 10), np.arange(760.0, 1070, 20),
    [1120, 1240, 1450, 1650, 1900, 2160, 2600, 3350, 4600, 5600],
]  # fmt: skip
# Shares of the correction's variance by their lengths of correlation in ln wavelength.
WAVELENGTH_LENGTHS = {0.25: 0.6, 0.03: 0.4}
# Lengths of correlation in 5040 K / Teff, log g and [M/H].
LABEL_LENGTHS = np.array([0.12, 1.3, 0.8])
# Size of the correction before any star is seen: of all stars, and of the coolest ones, where
# molecular bands are off by a factor of two.
SIZE, COOL_SIZE, COOL = 0.06, 0.40, (3200.0, 4200.0)
N_FEATURES = 60
LEVEL_ERROR = 3.0  # of ln F: the level of a spectrum is free
# By survey and luminosity class, how far (standard deviation of ln Teff) its temperatures may be
# off by a constant. Scales of giants are tied by interferometry; that of dwarfs by the Sun here.
TEFF_FREEDOM = {
    "miles dwarfs": 0.02,
    "miles giants": 0.005,
    "stelib dwarfs": 0.02,
    "stelib giants": 0.005,
    "pickles dwarfs": 0.02,
    "pickles giants": 0.01,
    "calspec dwarfs": 0.01,
    "lamost dwarfs": 0.004,
    "lamost giants": 0.004,
    "kepler giants": 0.001,
    "xp dwarfs": 0.02,
    "xp giants": 0.02,
    "cool xp dwarfs": 0.002,
}
GIANT_LOGG = 3.5
ROUNDS = 2  # of weights by how well a star fits
AT_ONCE = 24  # anchors whose designs are held at once


@dataclass(frozen=True)
class Anchor:
    """One star, or the mean of alike ones: what is seen of it in bins, over the model.

    Attributes
    ----------
    survey : str
        Whose labels it has.
    labels : (3,) array
        Teff [K], log g, [M/H].
    ratio : (n_bin,) array
        ln of the observed over the modelled flux.
    operator : (n_bin, n_knot) array
        How a correction at KNOTS changes the bins' ln flux.
    error : (n_bin,) array
        Independent errors of `ratio`.
    modes : (n_mode, n_bin) array
        What errors of labels, dust and calibration do to the bins, one standard deviation each.
    by_teff : (n_bin,) array
        d ln F / d ln Teff.
    name : str
    """

    survey: str
    labels: np.ndarray
    ratio: np.ndarray
    operator: np.ndarray
    error: np.ndarray
    modes: np.ndarray
    by_teff: np.ndarray
    name: str = ""

    @property
    def scale(self) -> str:
        """Whose temperature scale it is on: a key of TEFF_FREEDOM."""
        return f"{self.survey} {'giants' if self.labels[1] < GIANT_LOGG else 'dwarfs'}"


def describe_labels(labels: np.ndarray) -> np.ndarray:
    """Coordinates (n, 3) in which labels (n, 3) are interpolated, in lengths of correlation."""
    teff, logg, m_h = np.asarray(labels, float).T
    return np.stack([5040 / teff, logg, m_h], axis=1) / LABEL_LENGTHS


def expect_size(labels: np.ndarray) -> np.ndarray:
    """Size (n,) of the correction of ln F that is expected at labels (n, 3)."""
    teff = np.asarray(labels, float)[:, 0]
    coolest, warm = COOL
    coolness = np.clip((warm - teff) / (warm - coolest), 0, 1)
    return SIZE + (COOL_SIZE - SIZE) * coolness**2


@dataclass
class Correction:
    """A fitted correction.

    Attributes
    ----------
    centres : (n_feature, 3) array
        Coordinates of the features' centres, as describe_labels gives them.
    weights : (n_knot, n_feature) array
        Correction of ln F at KNOTS per feature.
    spread : (n_knot, n_feature, n_sample) array
        Draws from the posterior of the weights, less their mean: the correction's own uncertainty.
    teff_offset : dict of str to float
        By key of TEFF_FREEDOM: ln of our scale of temperatures over the survey's.
    """

    centres: np.ndarray
    weights: np.ndarray
    spread: np.ndarray
    teff_offset: dict[str, float] = field(default_factory=dict)

    def evaluate(self, labels: np.ndarray, wavelength: np.ndarray) -> np.ndarray:
        """Correction of ln F (n, n_wave) at labels (n, 3) and wavelengths (n_wave,) [nm]."""
        features = make_features(labels, self.centres)
        return features @ self.weights.T @ interpolate_knots(wavelength).T

    def residual(self, anchor: Anchor) -> np.ndarray:
        """What the correction leaves of an anchor (n_bin,), its mean taken off."""
        at_knots = self.evaluate(anchor.labels[None], KNOTS)[0]
        scale = anchor.by_teff * self.teff_offset.get(anchor.scale, 0.0)
        left = anchor.ratio - anchor.operator @ at_knots - scale
        return left - left.mean()

    def uncertainty(self, labels: np.ndarray, wavelength: np.ndarray) -> np.ndarray:
        """Its standard error (n, n_wave)."""
        features = make_features(labels, self.centres)
        draws = np.einsum("nf,kfs->skn", features, self.spread)
        return np.std(draws.transpose(0, 2, 1) @ interpolate_knots(wavelength).T, axis=0)


def interpolate_knots(wavelength: np.ndarray) -> np.ndarray:
    """(n_wave, n_knot) matrix of linear interpolation in ln wavelength; constant outside."""
    unit = np.eye(len(KNOTS))
    x = np.log(wavelength)
    return np.stack([np.interp(x, np.log(KNOTS), row) for row in unit], axis=1)


def make_features(labels: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Features (n, n_feature) whose products are the covariance of the correction at labels."""
    covariance = _gaussian(centres, centres) + 1e-6 * np.eye(len(centres))
    whitening = np.linalg.inv(np.linalg.cholesky(covariance)).T
    near = _gaussian(describe_labels(labels), centres)
    return expect_size(labels)[:, None] * (near @ whitening)


def _gaussian(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    apart = ((one[:, None] - other[None]) ** 2).sum(-1)
    return np.exp(-apart / 2)


def _wavelength_factor() -> np.ndarray:
    """Cholesky factor (n_knot, n_knot) of the correlation between knots."""
    apart = np.subtract.outer(np.log(KNOTS), np.log(KNOTS))
    correlation = sum(
        share * np.exp(-0.5 * (apart / length) ** 2) for length, share in WAVELENGTH_LENGTHS.items()
    )
    return np.linalg.cholesky(correlation + 1e-6 * np.eye(len(KNOTS)))


def choose_centres(labels: np.ndarray, n: int = N_FEATURES) -> np.ndarray:
    """Centres (n, 3) of features: each is the star farthest from those before, first the Sun."""
    points = describe_labels(labels)
    centres = [describe_labels(np.array([SOLAR]))[0]]
    nearest = np.full(len(points), np.inf)
    while len(centres) < n:
        nearest = np.minimum(nearest, ((points - centres[-1]) ** 2).sum(1))
        centres.append(points[np.argmax(nearest)])
    return np.array(centres)


def fit_correction(anchors: list[Anchor], samples: int = 64) -> Correction:
    """Fit the correction to anchors.

    Parameters
    ----------
    anchors
        Stars, the Sun among them.
    samples
        Draws from the posterior.
    """
    labels = np.array([anchor.labels for anchor in anchors])
    centres = choose_centres(labels)
    features = make_features(labels, centres)
    factor = _wavelength_factor()
    surveys = list(TEFF_FREEDOM)
    n_weights = len(KNOTS) * len(centres)
    weight = np.ones(len(anchors))
    cholesky = solution = np.empty(0)
    for _ in range(ROUNDS):
        products = np.zeros((n_weights + len(surveys) + 1,) * 2, np.float32)
        for start in range(0, len(anchors), AT_ONCE):
            rows = []
            for i in range(start, min(start + AT_ONCE, len(anchors))):
                design = _design(anchors[i], features[i], factor, surveys)
                columns = np.c_[design, anchors[i].ratio - anchors[i].ratio.mean()]
                rows.append(_whiten(anchors[i], columns) * np.sqrt(weight[i]))
            whitened = np.concatenate(rows).astype(np.float32)
            products += whitened.T @ whitened
        precision = np.eye(len(products) - 1) + products[:-1, :-1]
        gain = products[:-1, -1].astype(float)
        cholesky = np.linalg.cholesky(precision)
        solution = cho_solve((cholesky, True), gain)
        misfit = []
        for anchor, row in zip(anchors, features, strict=True):
            design = _design(anchor, row, factor, surveys)
            ratio = anchor.ratio - anchor.ratio.mean()
            left = _whiten(anchor, (ratio - design @ solution)[:, None])
            misfit.append(np.mean(left**2))
        # Weights of a Student distribution: a star that fits badly says little.
        weight = 5 / (4 + np.array(misfit))
    noise = np.random.default_rng(0).normal(size=(len(solution), samples))
    draws = solve_triangular(cholesky.T, noise, lower=False)
    shape = len(KNOTS), len(centres)
    spread = np.einsum("kj,jfs->kfs", factor, draws[:n_weights].reshape(*shape, samples))
    offsets = solution[n_weights:] * np.array(list(TEFF_FREEDOM.values()))
    return Correction(
        centres,
        factor @ solution[:n_weights].reshape(shape),
        spread,
        dict(zip(surveys, offsets.tolist(), strict=True)),
    )


def _design(anchor: Anchor, features: np.ndarray, factor: np.ndarray, surveys: list[str]):
    """(n_bin, n_knot n_feature + n_survey): what unit weights and offsets do to the bins."""
    by_weights = np.einsum("bk,f->bkf", anchor.operator @ factor, features)
    offsets = np.zeros((len(anchor.ratio), len(surveys)))
    if anchor.scale in surveys:
        here = surveys.index(anchor.scale)
        offsets[:, here] = anchor.by_teff * TEFF_FREEDOM[anchor.scale]
    return np.c_[by_weights.reshape(len(anchor.ratio), -1), offsets]


def _whiten(anchor: Anchor, columns: np.ndarray) -> np.ndarray:
    """Columns (n_bin, m) in units of the anchor's errors, made independent."""
    level = np.full((1, len(anchor.ratio)), LEVEL_ERROR)
    modes = np.concatenate([anchor.modes, level])
    covariance = np.diag(anchor.error**2) + modes.T @ modes
    return np.linalg.solve(np.linalg.cholesky(covariance), columns)


def keep_light(ln_flux: np.ndarray, corrected: np.ndarray, wavelength: np.ndarray) -> np.ndarray:
    """Scale corrected spectra (..., n_wave) so that they hold the light of the models.

    A correction knows shapes; how much light there is in all follows from Teff.
    """
    before = np.trapezoid(np.exp(ln_flux), wavelength, axis=-1)
    after = np.trapezoid(np.exp(corrected), wavelength, axis=-1)
    return corrected + np.log(before / after)[..., None]
