"""The joint posterior against a linear-Gaussian model, where everything is known in closed form."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from encoders import Measurement
from multistar.modalities import Scalars
from multistar.model.fusion import Memory
from multistar.model.head import GAIN_WIDTHS, gains, joint_log_prob
from multistar.model.mixture import Mixture
from multistar.model.network import ModelConfig, Network
from multistar.model.vocabulary import Vocabulary
from multistar.training.engine import Schedule
from multistar.training.masks import Split, Splitter
from multistar.training.objective import negative_log_likelihood
from multistar.training.optimiser import build
from multistar.training.run import TrainingConfig

VOCABULARY = Vocabulary((Scalars(("bp", "rp", "j"), ("teff", "logg", "m_h")),))
CONFIG = ModelConfig(width=32, encoder_depth=1, decoder_depth=1, heads=2, embedding=8, components=2)
LABELS = torch.tensor(list(VOCABULARY.label_slots))
PRIOR = np.array([[1.0, 0.0, 0.6], [0.0, 1.0, 0.6], [0.6, 0.6, 1.0]])
DESIGN = np.array(
    [[1.0, 1.0, 0.0], [1.0, 1.0, 0.5], [0.0, 0.0, 0.5]]
)  # measurement = DESIGN @ labels + noise
LABEL_ERROR = 0.1


def draw(n: int, rng: np.random.Generator) -> tuple[Measurement, np.ndarray]:
    """n stars: noisy measurements of known errors, noisy labels, and the true labels (n, 3)."""
    truth = rng.multivariate_normal(np.zeros(3), PRIOR, n)
    sigma = np.exp(rng.uniform(np.log(0.3), np.log(1.5), (n, 1))) * np.ones((1, 3))
    measured = truth @ DESIGN.T + rng.normal(size=(n, 3)) * sigma
    labels = truth + rng.normal(size=(n, 3)) * LABEL_ERROR
    values = (np.hstack([measured, labels]), np.hstack([sigma, np.full((n, 3), LABEL_ERROR)]))
    tensors = (torch.tensor(x, dtype=torch.float32) for x in values)
    return Measurement(*tensors, torch.ones(n, 6, dtype=torch.bool)), truth


def posterior(m: Measurement) -> tuple[np.ndarray, np.ndarray]:
    """Means (n, 3) and covariances (n, 3, 3) of the labels given the measurements."""
    y, sigma = m.value[:, :3].double().numpy(), m.sigma[:, :3].double().numpy()
    weight = DESIGN.T[None] / sigma[:, None, :] ** 2
    covariance = np.linalg.inv(np.linalg.inv(PRIOR) + weight @ DESIGN)
    return np.einsum("nij,njk,nk->ni", covariance, weight, y), covariance


def context(m: Measurement) -> Measurement:
    observed = m.observed.clone()
    observed[:, LABELS] = False
    return Measurement(m.value, m.sigma, observed)


@pytest.fixture(scope="module")
def toy() -> Network:
    torch.manual_seed(0)
    network, settings = (
        Network(CONFIG, VOCABULARY),
        TrainingConfig(steps=300, learning_rate=1.6e-2, warmup=20),
    )
    optimiser, generator = build(network, settings), torch.Generator().manual_seed(0)
    schedule = Schedule(
        settings.learning_rate, settings.steps, settings.warmup, settings.final_share
    )
    splitter = Splitter(VOCABULARY, torch.ones(6), 0, 0.5, generator)
    stars, _ = draw(256 * 100, np.random.default_rng(0))
    for step in range(settings.steps):
        rows = slice(256 * (step % 100), 256 * (step % 100 + 1))
        batch = Measurement(stars.value[rows], stars.sigma[rows], stars.observed[rows])
        shown = context(batch)
        order = LABELS[torch.randperm(3, generator=generator)]
        known = batch.rows(slice(128, None))
        known = Measurement(known.value[:, order], known.sigma[:, order], known.observed[:, order])
        split = Split(shown, ~shown.observed, LABELS, order, splitter.blur(known))
        for group in optimiser.param_groups:
            group["lr"] = schedule.learning_rate(step)
        loss = negative_log_likelihood(network, batch, split, from_embedding=False)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def stars() -> tuple[Measurement, np.ndarray]:
    return draw(150, np.random.default_rng(1))


def samples(network: Network, m: Measurement, order: list[int], n: int = 400) -> np.ndarray:
    """(stars, n, 3) in the order of LABELS."""
    drawn = network.head.sample(
        network.encode(context(m)), LABELS[order], n, torch.Generator().manual_seed(0)
    )
    return drawn[..., np.argsort(order)].double().numpy()


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0]])
def test_samples_have_the_mean_and_covariance_of_the_closed_form(toy, stars, order):
    drawn, (mean, covariance) = samples(toy, stars[0], order), posterior(stars[0])
    width = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    assert np.sqrt(np.mean(((drawn.mean(1) - mean) / width) ** 2)) < 0.2
    np.testing.assert_allclose((drawn.std(1) / width).mean(0), 1, atol=0.15)
    wanted = covariance / width[:, :, None] / width[:, None]
    got = np.array([np.corrcoef(x.T) for x in drawn])
    assert np.abs(got - wanted)[:, 0, 1].mean() < 0.1  # about -0.8
    assert np.abs(got - wanted).max(axis=(1, 2)).mean() < 0.3


def log_prob(network: Network, m: Measurement, values: np.ndarray, order: list[int]) -> np.ndarray:
    value = torch.tensor(values[:, order], dtype=torch.float32)
    exact = Measurement(value, torch.zeros_like(value), torch.ones_like(value, dtype=torch.bool))
    return joint_log_prob(network.head, network.encode(context(m)), LABELS[order], exact).numpy()


def test_log_probability_of_the_truth_is_near_the_closed_form_in_any_order(toy, stars):
    m, truth = stars
    exact = np.array(
        [multivariate_normal(a, c).logpdf(x) for a, c, x in zip(*posterior(m), truth, strict=True)]
    )
    for order in ([0, 1, 2], [1, 2, 0], [2, 1, 0]):
        got = log_prob(toy, m, truth, order)
        assert abs(got.mean() - exact.mean()) < 0.3
        assert np.corrcoef(got, exact)[0, 1] > 0.9


def test_the_joint_beats_the_product_of_the_marginals_where_labels_are_correlated(toy, stars):
    m, truth = stars
    value = torch.tensor(truth, dtype=torch.float32)
    marginals = (
        toy.decode(toy.encode(context(m)), LABELS).log_prob(value, torch.zeros_like(value)).sum(1)
    )
    assert (
        log_prob(toy, m, truth, [0, 1, 2]).mean() > marginals.mean().item() + 0.3
    )  # 0.5 nats in closed form


def test_noisier_measurements_widen_the_posterior(toy, stars):
    m = stars[0]
    widths = []
    for sigma in (0.3, 0.6, 1.2):
        noisier = Measurement(m.value, torch.full_like(m.sigma, sigma), m.observed)
        widths.append(samples(toy, noisier, [0, 1, 2]).std(1).mean(0))
    narrow, middle, wide = widths
    assert np.all(narrow[2] < middle[2] < wide[2])
    assert np.all(wide > narrow)


@pytest.fixture(scope="module")
def untrained() -> Network:
    """Random weights and two blocks: what holds here holds by construction."""
    torch.manual_seed(1)
    config = ModelConfig(
        width=32, encoder_depth=1, decoder_depth=2, heads=2, embedding=8, components=3
    )
    return Network(config, VOCABULARY).eval().requires_grad_(False)


def values(n: int, q: int, seed: int = 0) -> Measurement:
    g = torch.Generator().manual_seed(seed)
    shape = (n, q)
    return Measurement(
        torch.randn(shape, generator=g),
        torch.rand(shape, generator=g),
        torch.rand(shape, generator=g) < 0.6,
    )


def test_cached_sampling_is_what_the_whole_sequence_gives(untrained, stars):
    """Each draw of the cached sampler is repeated from the density that the uncached pass gives."""
    head, memory = untrained.head, untrained.encode(context(stars[0])).rows(slice(0, 5))
    order, n = torch.tensor([4, 0, 5, 3, 1]), 3
    drawn = head.sample(memory, order, n, torch.Generator().manual_seed(7))
    again = torch.Generator().manual_seed(7)
    wide = Memory(*(x.repeat_interleave(n, 0) for x in vars(memory).values()))
    flat = drawn.reshape(-1, len(order))
    given = Measurement(flat, torch.zeros_like(flat), torch.ones_like(flat, dtype=torch.bool))
    mixture = head.autoregressive(wide, order, given)
    for i in range(len(order)):
        one = Mixture(*(x[:, i].reshape(5, n, -1) for x in vars(mixture).values()))
        torch.testing.assert_close(one.draw(again), drawn[..., i], rtol=1e-4, atol=1e-4)


def test_marginals_do_not_depend_on_what_else_is_asked(untrained, stars):
    memory = untrained.encode(context(stars[0]))
    together = untrained.decode(memory, torch.arange(6))
    for slot in range(6):
        alone = untrained.decode(memory, torch.tensor([slot]))
        for a, b in zip(vars(alone).values(), vars(together).values(), strict=True):
            torch.testing.assert_close(a[:, 0], b[:, slot], rtol=1e-5, atol=1e-5)


def test_a_target_without_predecessors_has_its_marginal(untrained, stars):
    memory, order = untrained.encode(context(stars[0])), torch.tensor([4, 0, 5])
    nothing = stars[0].slots(0, 3)
    nothing = Measurement(nothing.value, nothing.sigma, torch.zeros_like(nothing.observed))
    for a, b in zip(
        vars(untrained.head.autoregressive(memory, order, nothing)).values(),
        vars(untrained.decode(memory, order)).values(),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("junk", [1e9, float("nan")])
def test_missing_targets_inform_nobody_bitwise(untrained, stars, junk):
    memory, order, given = (
        untrained.encode(context(stars[0])),
        torch.tensor([4, 0, 5, 3, 1]),
        values(150, 5),
    )
    filled = Measurement(
        torch.where(given.observed, given.value, junk),
        torch.where(given.observed, given.sigma, junk),
        given.observed,
    )
    for a, b in zip(
        vars(untrained.head.autoregressive(memory, order, given)).values(),
        vars(untrained.head.autoregressive(memory, order, filled)).values(),
        strict=True,
    ):
        assert torch.equal(a, b)
    assert torch.equal(
        joint_log_prob(untrained.head, memory, order, given),
        joint_log_prob(untrained.head, memory, order, filled),
    )


def test_targets_see_those_before_them_and_not_those_after(untrained, stars):
    memory, order, given = (
        untrained.encode(context(stars[0])),
        torch.tensor([4, 0, 5, 3, 1]),
        values(150, 5),
    )
    changed = given.value.clone()
    changed[:, 2] += 1
    a = untrained.head.autoregressive(memory, order, given).mean
    b = untrained.head.autoregressive(
        memory, order, Measurement(changed, given.sigma, given.observed)
    ).mean
    assert torch.equal(a[:, :3], b[:, :3])
    told = given.observed[:, 2]
    assert (a[told, 3:] != b[told, 3:]).any(-1).all()
    assert torch.equal(a[~told], b[~told])


def test_a_stars_joint_density_does_not_depend_on_the_other_stars(untrained, stars):
    m, order, given = context(stars[0]), torch.tensor([4, 5, 3]), values(150, 3)
    rows = torch.randperm(150, generator=torch.Generator().manual_seed(0))[:20]
    pick = lambda x: Measurement(x.value[rows], x.sigma[rows], x.observed[rows])  # noqa: E731
    whole = joint_log_prob(untrained.head, untrained.encode(m), order, given)
    part = joint_log_prob(untrained.head, untrained.encode(pick(m)), order, pick(given))
    torch.testing.assert_close(part, whole[rows], rtol=1e-4, atol=1e-4)


def test_gains_are_those_of_a_gaussian_measured_with_error():
    value, error = torch.tensor([[2.0, 2.0]]), torch.tensor([[0.0, 0.3]])
    features = gains(value, error)[0]
    assert features[0].tolist() == [1, 1, 2, 2]
    wanted = np.array([w**2 / (w**2 + 0.3**2) for w in GAIN_WIDTHS])
    np.testing.assert_allclose(features[1].numpy(), np.r_[wanted, 2 * wanted], rtol=1e-6)
