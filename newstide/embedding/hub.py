"""Model files: a folder, the model hub's local cache, or a download; without a hub, an error within seconds."""

import threading
from collections.abc import Callable
from pathlib import Path

from newstide.core import logs
from newstide.core.errors import EmbedderError

_WAY_OUT = "Set NEWSTIDE_EMBEDDING_PATH to a folder that holds the model, or choose another model."
_LEAVE_OUT = ["onnx/*", "openvino/*", "imgs/*", "*.jsonl", "*.msgpack", "*.ot", "*.h5"]


def model_folder(name: str, timeout: float, complete: Callable[[Path], bool], way_out: str = _WAY_OUT) -> Path:
    """The folder with a model's files: the given one, the hub's cache, or a fresh download.

    Args:
        name: A folder, or a name on the hub.
        timeout: Seconds that the hub has to answer before a download starts.
        complete: Whether a cached folder holds all files; an interrupted download leaves a part of them.
        way_out: What the reader can do where the model cannot be fetched.

    Raises:
        EmbedderError: No folder holds the model, and the hub cannot be reached, or does not have the model.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise EmbedderError(f"{name} is not a folder.", way_out)
    if folder.is_absolute() or name.startswith((".", "~")):
        raise EmbedderError(f"The folder {name} does not exist.", way_out)

    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        cached = Path(snapshot_download(name, local_files_only=True, ignore_patterns=_LEAVE_OUT))
        if complete(cached):
            return cached
    except LocalEntryNotFoundError:
        pass
    except HFValidationError:
        raise EmbedderError(f"{name} is neither a folder nor a name on the model hub.", way_out) from None
    _require_hub(name, timeout, way_out)
    logs.get("embedding").info("fetching the model from the hub; this happens once", model=name)
    try:
        return Path(snapshot_download(name, ignore_patterns=_LEAVE_OUT))
    except Exception as error:
        raise EmbedderError(f"{name} could not be fetched from the model hub: {error!r}", way_out) from error


def _require_hub(name: str, timeout: float, way_out: str) -> None:
    """Asks the hub about the model, once, since a download would be retried for most of a minute.

    A thread asks, which may be left behind: resolving a host's name has no timeout.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    failures: list[Exception] = []

    def ask() -> None:
        try:
            HfApi().model_info(name, timeout=timeout)
        except Exception as error:  # noqa: BLE001 - raised below
            failures.append(error)

    asking = threading.Thread(target=ask, name="model-hub", daemon=True)
    asking.start()
    asking.join(timeout + 1)
    hub = constants.ENDPOINT
    missing = f"{name} is not in the local cache, and the model hub at {hub}"
    if asking.is_alive():
        raise EmbedderError(f"{missing} did not answer within {timeout:g} s.", way_out)
    if failures:
        error = failures[0]
        if isinstance(error, GatedRepoError):
            raise EmbedderError(f"{missing} wants a token for this model.", "Set HF_TOKEN.") from error
        if isinstance(error, RepositoryNotFoundError):
            raise EmbedderError(f"{missing} does not have this model, or wants a token for it.", way_out) from error
        raise EmbedderError(f"{missing} cannot be reached: {error!r}", way_out) from error
