"""The whole network: encoders -> fusion -> head, on standardised slots."""

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn

from encoders import FittedEncoder, Measurement
from multistar.model.alignment import ALIGNED, ALIGNMENTS, Alignment
from multistar.model.attention import ATTENTION
from multistar.model.fusion import Fusion, Memory
from multistar.model.head import MixtureHead
from multistar.model.mixture import Mixture
from multistar.model.vocabulary import Vocabulary


@dataclass(frozen=True)
class ModelConfig:
    """The sizes and choices that a network is built from.

    Attributes
    ----------
    width : int
        Size of a token.
    encoder_depth, decoder_depth : int
        Number of blocks of the fusion and of the head.
    heads : int
        Heads of each block; divides `width`.
    xp_patch : int
        Neighbouring XP orders (or components) per token.
    embedding : int
        Size of the vector of a star.
    embedding_tokens : int
        Number of tokens that the head attends to when it has only the embedding.
    components : int
        Gaussians per mixture.
    mismatch : bool
        Whether the model is trained for mock stars and for the sky: see mismatch.py.
    light_curve_depth : int
        Number of blocks of the light curve's own encoder.
    attention : str
        How tokens attend to each other in the fusion: a key of attention.ATTENTION.
    alignment : str
        How a light curve is aligned with the rest of its star: a key of alignment.ALIGNMENTS;
        "" for not at all.
    group_surveys : bool
        Whether the magnitudes of a survey are one token, rather than one for each band.
    xp_components : int
        Number of principal components of the XP coefficients that are read in their place; 0 to
        read the coefficients themselves.

    Raises
    ------
    ValueError
        If a size is not positive, a choice is unknown, or `heads` does not divide `width`.
    """

    width: int = 128
    encoder_depth: int = 4
    decoder_depth: int = 2
    heads: int = 4
    xp_patch: int = 5
    embedding: int = 256
    embedding_tokens: int = 4
    components: int = 5
    mismatch: bool = False
    light_curve_depth: int = 2
    attention: str = "both"
    alignment: str = ""
    xp_components: int = 0
    group_surveys: bool = False

    def __post_init__(self):
        for name, value in vars(self).items():
            least = 0 if name == "xp_components" else 1
            if type(value) is int and value < least:
                raise ValueError(f"model.{name} must be a positive integer, got {value!r}")
        if self.attention not in ATTENTION:
            known = tuple(ATTENTION)
            raise ValueError(f"model.attention must be one of {known}, got {self.attention!r}")
        if self.alignment not in ("", *ALIGNMENTS):
            raise ValueError(
                f"model.alignment must be empty or one of {sorted(ALIGNMENTS)}, "
                f"got {self.alignment!r}"
            )
        if self.width % self.heads:
            raise ValueError(
                f"model.width={self.width} must be a multiple of model.heads={self.heads}"
            )


class Network(nn.Module):
    """The observed slots of a star -> Memory -> mixtures for any slots.

    Parameters
    ----------
    config : ModelConfig
    vocabulary : Vocabulary
        The slots of a star; there is one encoder for each of its modalities.
    """

    def __init__(self, config: ModelConfig, vocabulary: Vocabulary):
        super().__init__()
        self.vocabulary = vocabulary
        self.memory_tokens = config.embedding_tokens
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
        """Fit the encoders that need it (principal components) to training stars (n, n_slots)."""
        for name, encoder in self.encoders.items():
            if isinstance(encoder, FittedEncoder):
                encoder.fit(self._part(stars, name))

    def encode(self, stars: Measurement) -> Memory:
        """Encode and fuse what is observed of stars.

        A modality with many tokens that no star of the batch has costs nothing.

        Parameters
        ----------
        stars : Measurement
            Of (B, n_slots).

        Returns
        -------
        Memory
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
        """Embed one modality alone, and all other measurements without it and without labels.

        Parameters
        ----------
        stars : Measurement
            Of (B, n_slots).
        modality : str
            The modality of the first view.

        Returns
        -------
        own, rest : (B, E) Tensor
            Embeddings of the two views.
        """
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
        """Make a memory from the embedding (B, E) alone, in place of the one that it came from."""
        flat = self.from_embedding(embedding)
        tokens = rearrange(flat, "b (t d) -> b t d", t=self.memory_tokens)
        observed = tokens.new_ones(tokens.shape[:2]).bool()
        return Memory(tokens, observed, embedding)

    def decode(self, memory: Memory, query: Tensor) -> Mixture:
        """Return marginal densities (B, Q, K) of the slots `query` (Q,) given the memory."""
        return self.head.parallel(memory, query)
