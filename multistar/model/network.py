"""The whole network: encoders -> fusion -> head, on standardised slots."""

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn

from encoders import LightCurveEncoder, Measurement, ScalarEncoder, XPComponents, XPEncoder
from multistar.model.alignment import LOSSES, Alignment
from multistar.model.fusion import ATTENTION, Fusion, Memory
from multistar.model.head import MixtureHead
from multistar.model.mixture import Mixture
from multistar.model.vocabulary import Vocabulary


@dataclass(frozen=True)
class ModelConfig:
    width: int = 128
    encoder_depth: int = 4
    decoder_depth: int = 2
    heads: int = 4
    xp_patch: int = 5  # neighbouring XP orders (or components) per token
    embedding: int = 256
    embedding_tokens: int = 4  # tokens that the head sees when it has only the embedding
    components: int = 5  # Gaussians per mixture
    mismatch: bool = False  # trained for mock stars and for the sky: see mismatch.py
    light_curve_depth: int = 2  # blocks of the light curve's own encoder
    attention: str = "both"  # of the fusion: see fusion.ATTENTION
    alignment: str = ""  # of a light curve with the rest of its star: see alignment.py; "" for none
    xp_components: int = 0  # principal components of the XP coefficients that are read in their place; 0: none are made

    def __post_init__(self):
        for name, value in vars(self).items():
            if type(value) is int and value < (name != "xp_components"):
                raise ValueError(f"model.{name} must be a positive integer, got {value!r}")
        if self.attention not in ATTENTION:
            raise ValueError(f"model.attention must be one of {ATTENTION}, got {self.attention!r}")
        if self.alignment not in ("", *LOSSES):
            raise ValueError(
                f"model.alignment must be empty or one of {sorted(LOSSES)}, got {self.alignment!r}"
            )
        if self.width % self.heads:
            raise ValueError(
                f"model.width={self.width} must be a multiple of model.heads={self.heads}"
            )


class Network(nn.Module):
    """Slots of a star (observed ones) -> Memory -> mixtures for any slots."""

    def __init__(self, config: ModelConfig, vocabulary: Vocabulary):
        super().__init__()
        self.vocabulary, self.memory_tokens = vocabulary, config.embedding_tokens
        self.scalars = ScalarEncoder(vocabulary.n_scalars, config.width)
        if config.xp_components:
            orders = vocabulary.n_bp + vocabulary.n_rp
            self.xp = XPComponents(orders, config.xp_components, config.xp_patch, config.width)
        else:
            self.xp = XPEncoder(vocabulary.n_bp, vocabulary.n_rp, config.xp_patch, config.width)
        if layout := vocabulary.layout:
            self.light_curve = LightCurveEncoder(
                layout, config.width, config.light_curve_depth, config.heads
            )
            self.alignment = (
                Alignment(config.embedding, config.alignment) if config.alignment else None
            )
        self.fusion = Fusion(
            config.width, config.encoder_depth, config.heads, config.embedding, config.attention
        )
        self.from_embedding = nn.Linear(config.embedding, config.embedding_tokens * config.width)
        self.head = MixtureHead(
            vocabulary.n_slots, config.width, config.decoder_depth, config.heads, config.components
        )

    def fit(self, stars: Measurement) -> None:
        """What is no weight but follows from the training stars (n, n_slots): the principal components."""
        if isinstance(self.xp, XPComponents):
            slots = self.vocabulary.xp_slots
            self.xp.fit(stars.slots(slots.start, slots.stop))

    def encode(self, stars: Measurement) -> Memory:
        """stars holds (B, n_slots); only its observed slots count."""
        places = {
            "scalars": range(self.vocabulary.n_scalars),
            "xp": self.vocabulary.xp_slots,
            "light_curve": self.vocabulary.light_curve_slots,
        }
        parts = {name: stars.slots(p.start, p.stop) for name, p in places.items() if p}
        if "light_curve" in parts and not parts["light_curve"].observed.any():
            del parts["light_curve"]  # what no star of the batch has costs nothing
        return self.fusion([getattr(self, name)(part) for name, part in parts.items()])

    def views(self, stars: Measurement) -> tuple[Tensor, Tensor]:
        """Embeddings (B, E) of the light curve alone and of all other measurements, without labels."""
        vocabulary, embeddings = self.vocabulary, []
        curve = torch.zeros(vocabulary.n_slots, dtype=torch.bool, device=stars.value.device)
        curve[vocabulary.light_curve_slots.start :] = True
        rest = ~curve
        rest[list(vocabulary.label_slots)] = False
        for slots in (curve, rest):
            embeddings.append(
                self.encode(Measurement(stars.value, stars.sigma, stars.observed & slots)).embedding
            )
        return embeddings[0], embeddings[1]

    def recall(self, embedding: Tensor) -> Memory:
        """What the embedding (B, E) alone tells of the stars, in place of the memory that it came from."""
        tokens = rearrange(self.from_embedding(embedding), "b (t d) -> b t d", t=self.memory_tokens)
        return Memory(tokens, tokens.new_ones(tokens.shape[:2]).bool(), embedding)

    def decode(self, memory: Memory, query: Tensor) -> Mixture:
        """Marginal densities of the slots `query` (Q,) given everything in memory."""
        return self.head.parallel(memory, query)
