"""The whole network: encoders -> fusion -> head, on standardised slots."""

from dataclasses import dataclass

from einops import rearrange
from torch import Tensor, nn

from encoders import Measurement, ScalarEncoder, XPEncoder
from multistar.model.fusion import Fusion, Memory
from multistar.model.head import MixtureHead
from multistar.model.mixture import Mixture
from multistar.model.vocabulary import Vocabulary


@dataclass(frozen=True)
class ModelConfig:
    width: int = 128
    encoder_depth: int = 4
    decoder_depth: int = 2
    heads: int = 4
    xp_patch: int = 5  # neighbouring XP orders per token
    embedding: int = 256
    embedding_tokens: int = 4  # tokens that the head sees when it has only the embedding
    components: int = 5  # Gaussians per mixture
    mismatch: bool = False  # trained for mock stars and for the sky: see mismatch.py

    def __post_init__(self):
        for name, value in vars(self).items():
            if name != "mismatch" and (not isinstance(value, int) or value < 1):
                raise ValueError(f"model.{name} must be a positive integer, got {value!r}")
        if self.width % self.heads:
            raise ValueError(f"model.width={self.width} must be a multiple of model.heads={self.heads}")


class Network(nn.Module):
    """Slots of a star (observed ones) -> Memory -> mixtures for any slots."""

    def __init__(self, config: ModelConfig, vocabulary: Vocabulary):
        super().__init__()
        self.vocabulary, self.memory_tokens = vocabulary, config.embedding_tokens
        self.scalars = ScalarEncoder(vocabulary.n_scalars, config.width)
        self.xp = XPEncoder(vocabulary.n_bp, vocabulary.n_rp, config.xp_patch, config.width)
        self.fusion = Fusion(config.width, config.encoder_depth, config.heads, config.embedding)
        self.from_embedding = nn.Linear(config.embedding, config.embedding_tokens * config.width)
        self.head = MixtureHead(vocabulary.n_slots, config.width, config.decoder_depth, config.heads, config.components)

    def encode(self, stars: Measurement) -> Memory:
        """stars holds (B, n_slots); only its observed slots count."""
        n_scalars, n_slots = self.vocabulary.n_scalars, self.vocabulary.n_slots
        tokens = [self.scalars(stars.slots(0, n_scalars)), self.xp(stars.slots(n_scalars, n_slots))]
        return self.fusion(tokens)

    def recall(self, embedding: Tensor) -> Memory:
        """What the embedding (B, E) alone tells of the stars, in place of the memory that it came from."""
        tokens = rearrange(self.from_embedding(embedding), "b (t d) -> b t d", t=self.memory_tokens)
        return Memory(tokens, tokens.new_ones(tokens.shape[:2]).bool(), embedding)

    def decode(self, memory: Memory, query: Tensor) -> Mixture:
        """Marginal densities of the slots `query` (Q,) given everything in memory."""
        return self.head.parallel(memory, query)
