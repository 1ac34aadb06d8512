"""What a fine-tuning does to what the base knew: the same stars before and after."""

import numpy as np
import torch

from multistar.checks.metrics import scatter
from multistar.finetune.adapter import Adapter
from multistar.finetune.predict import predict_columns
from multistar.inference.stream import stream_measurements
from multistar.model.checkpoint import Model
from multistar.stars import Stars

FEWEST = 20  # stars with a label


def mock_stars(number: int = 1000, seed: int = 9_000_000) -> Stars:
    """Mock stars like those of the base's training, of a seed that no training used."""
    import pyarrow as pa

    from multistar.mock.survey import SurveyConfig, survey
    from multistar.stars import read_stars

    return read_stars(pa.concat_tables(survey(number, SurveyConfig(seed))))


def retention(base: Model, adapter: Adapter, stars: Stars) -> dict[str, dict[str, float]]:
    """Label of the base -> MAD-std of prediction - label (the mock's truth, if there is one), three times:

    before   the base alone
    after    `predict` with the adapter: the base's own columns, unless the label is one of the adapter's
    network  the adapter's network asked for the label; its decoder in mode head, lora, full has moved
    """
    names = base.vocabulary.labels
    adapted = {
        name: values
        for name, (values, _) in predict_columns(adapter, stars)[0].items()
        if name in names
    }
    before, network = _medians(base, stars), _medians(adapter.model, stars)
    out = {}
    for name in names:
        label = stars.extra.get(
            f"true_{name}", stars.scalars[name].value if name in stars.scalars else None
        )
        if label is None or np.isfinite(label).sum() < FEWEST:
            continue
        asked = {
            "before": before[name],
            "after": adapted.get(name, before[name]),
            "network": network[name],
        }
        out[name] = {which: scatter(x, label)["mad_std"] for which, x in asked.items()}
    return out


@torch.inference_mode()
def _medians(model: Model, stars: Stars) -> dict[str, np.ndarray]:
    names, slots = model.vocabulary.labels, torch.tensor(list(model.vocabulary.label_slots))
    level = model.recalibrator(torch.tensor([0.5]))
    parts = [
        model.network.decode(model.network.encode(m), slots).quantile(level)
        for _, m in stream_measurements(model, stars, "", True)
    ]
    z = torch.cat(parts)[..., 0].numpy()
    return {name: model.standardiser.physical(name, z[:, i]) for i, name in enumerate(names)}
