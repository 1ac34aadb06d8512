"""The whole network: encoders -> fusion -> head, on standardised slots."""

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn

from encoders import FittedEncoder, Measurement
from multistar.model.alignment import ALIGNED, LOSSES, Alignment
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
        encoders = {own.name: own.encoder(config) for own in vocabulary.modalities}
        self.encoders = nn.ModuleDict(encoders)
        self.alignment = None
        if config.alignment and ALIGNED in vocabulary:
            self.alignment = Alignment(config.embedding, config.alignment)
        self.fusion = Fusion(
            config.width, config.encoder_depth, config.heads, config.embedding, config.attention
        )
        self.from_embedding = nn.Linear(config.embedding, config.embedding_tokens * config.width)
        self.head = MixtureHead(
            vocabulary.n_slots, config.width, config.decoder_depth, config.heads, config.components
        )

    def fit(self, stars: Measurement) -> None:
        """Let encoders that need it (principal components) be fitted to training stars (n, n_slots)."""
        for name, encoder in self.encoders.items():
            if isinstance(encoder, FittedEncoder):
                encoder.fit(self._part(stars, name))

    def encode(self, stars: Measurement) -> Memory:
        """Encode and fuse what is observed of stars (B, n_slots).

        A modality with many tokens that no star of the batch has costs nothing.
        """
        tokens = []
        for name, encoder in self.encoders.items():
            part = self._part(stars, name)
            if self.vocabulary[name].in_sequences or part.observed.any():
                tokens.append(encoder(part))
        return self.fusion(tokens)

    def _part(self, stars: Measurement, modality: str) -> Measurement:
        here = self.vocabulary.places[modality]
        return stars.slots(here.start, here.stop)

    def encode_views(self, stars: Measurement, modality: str = ALIGNED) -> tuple[Tensor, Tensor]:
        """Embeddings (B, E) of one modality alone and of all other measurements, without labels."""
        own = torch.zeros(stars.value.shape[1], dtype=torch.bool, device=stars.value.device)
        own[self.vocabulary.places[modality]] = True
        rest = ~own
        rest[list(self.vocabulary.label_slots)] = False
        embeddings = []
        for slots in (own, rest):
            seen = Measurement(stars.value, stars.sigma, stars.observed & slots)
            embeddings.append(self.encode(seen).embedding)
        return embeddings[0], embeddings[1]

    def recall(self, embedding: Tensor) -> Memory:
        """What the embedding (B, E) alone tells of the stars, in place of the memory that it came from."""
        tokens = rearrange(self.from_embedding(embedding), "b (t d) -> b t d", t=self.memory_tokens)
        return Memory(tokens, tokens.new_ones(tokens.shape[:2]).bool(), embedding)

    def decode(self, memory: Memory, query: Tensor) -> Mixture:
        """Marginal densities of the slots `query` (Q,) given everything in memory."""
        return self.head.parallel(memory, query)
