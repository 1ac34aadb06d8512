"""Two views of one star: what is shared is found again, what is private is not; masks of the fusion keep their word."""

import pytest
import torch
import torch.nn.functional as F

from encoders import Tokens
from multistar.model.alignment import ALIGNMENTS, Alignment
from multistar.model.attention import ATTENTION
from multistar.model.fusion import Fusion, fusion_mask

SHARED, PRIVATE, SIZE = 6, 6, 16


def two_views(n: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Unit vectors that mix what the views share with as much that they do not."""
    mixing = torch.Generator().manual_seed(9)
    shared = torch.randn(n, SHARED, generator=generator)
    views = []
    for _ in range(2):
        private = torch.randn(n, PRIVATE, generator=generator)
        mix = torch.randn(SHARED + PRIVATE, SIZE, generator=mixing)
        views.append(F.normalize(torch.cat([2 * shared, private], 1) @ mix, dim=-1))
    return views[0], views[1]


def recall(alignment: Alignment, e1: torch.Tensor, e2: torch.Tensor) -> float:
    p1, p2 = (F.normalize(p, dim=-1) for p in alignment(e1, e2))
    return float(((p1 @ p2.T).argmax(1) == torch.arange(len(p1))).float().mean())


@pytest.mark.parametrize("kind", sorted(ALIGNMENTS))
def test_a_star_is_found_by_its_other_view(kind):
    torch.manual_seed(0)
    generator, alignment = torch.Generator().manual_seed(0), Alignment(SIZE, kind)
    optimiser = torch.optim.Adam(alignment.parameters(), lr=1e-2)
    test = two_views(200, torch.Generator().manual_seed(1))
    before = recall(alignment, *test)
    for _ in range(400):
        loss = alignment.loss(*two_views(128, generator))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    after = recall(alignment, *test)
    assert before < 0.1
    assert (
        after > {"dual": 0.15, "free": 0.3, "vicreg": 0.3, "clip": 0.3, "dual-clip": 0.15}[kind]
    )  # chance is 0.005


@pytest.mark.parametrize("kind, temperatures", [("dual", 0), ("dual-clip", 1)])
def test_dual_uses_one_matrix_and_its_transpose(kind, temperatures):
    alignment = Alignment(SIZE, kind)
    e1, e2 = two_views(5, torch.Generator().manual_seed(0))
    p1, p2 = alignment(e1, e2)
    torch.testing.assert_close(p1, 4 * e1 @ alignment.first.T)
    torch.testing.assert_close(p2, 4 * e2 @ alignment.first)
    assert sum(p.numel() for p in alignment.parameters()) == SIZE**2 + temperatures


@pytest.mark.parametrize("kind", sorted(ALIGNMENTS))
def test_the_order_of_the_stars_is_free(kind):
    torch.manual_seed(0)
    alignment, (e1, e2) = Alignment(SIZE, kind), two_views(64, torch.Generator().manual_seed(0))
    shuffled = torch.randperm(64)
    torch.testing.assert_close(alignment.loss(e1, e2), alignment.loss(e1[shuffled], e2[shuffled]))


def test_matching_views_that_spread_and_do_not_covary_cost_nothing():
    """An orthonormal design: zero mean, unit variance, no covariance; both views the same."""
    alignment = Alignment(4, "vicreg")
    with torch.no_grad():
        alignment.first.copy_(torch.eye(4))
        alignment.second.copy_(torch.eye(4))
    signs = torch.tensor([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1.0]])
    design = torch.cat([signs, -signs]) / 2
    assert float(alignment.loss(design, design).detach()) == pytest.approx(0.0, abs=1e-5)
    assert float(alignment.loss(design, -design).detach()) > 1


def test_eigenspace_of_a_symmetric_matrix_is_its_eigenvectors():
    alignment = Alignment(3, "dual")
    basis = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)))[0]
    with torch.no_grad():
        alignment.first.copy_(basis @ torch.diag(torch.tensor([0.5, -3.0, 1.0])) @ basis.T)
    found = alignment.eigenspace()
    overlap = (found.T @ basis).abs()
    torch.testing.assert_close(overlap, torch.eye(3)[[1, 2, 0]], atol=1e-5, rtol=0)


def tokens(generator: torch.Generator) -> list[Tokens]:
    return [
        Tokens(torch.randn(2, n, 16, generator=generator), torch.ones(2, n).bool()) for n in (3, 4)
    ]


@pytest.mark.parametrize("attention", list(ATTENTION))
def test_tokens_see_whom_they_may(attention):
    """Within: the other modality changes nothing but the summary. Across: it does, and one's own kind does not."""
    torch.manual_seed(0)
    fusion = Fusion(16, 1, 2, 8, attention).eval()
    first, other = (
        tokens(torch.Generator().manual_seed(0)),
        tokens(torch.Generator().manual_seed(1)),
    )
    before = fusion(first)
    strange = fusion([first[0], other[1]])
    same = torch.equal(before.features[:, 1:4], strange.features[:, 1:4])
    assert same == (attention == "within")
    assert not torch.equal(before.embedding, strange.embedding)
    changed = first[0].features.clone()
    changed[:, 0] += 1
    neighbour = fusion([Tokens(changed, first[0].observed), first[1]])
    if attention == "across":
        modality = torch.tensor([-1, 0, 0, 0, 1, 1, 1, 1])
        mask = fusion_mask(torch.ones(2, 8).bool(), modality, attention)[0, 0]
        assert mask[1].tolist() == [True, True, False, False, True, True, True, True]
        assert mask[0].all()
        assert torch.equal(before.features[:, 2:4], neighbour.features[:, 2:4])
    else:
        assert not torch.equal(before.features[:, 2:4], neighbour.features[:, 2:4])
