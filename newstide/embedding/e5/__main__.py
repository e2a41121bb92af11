"""`python -m newstide.embedding.e5`: converts the packaged weights ahead of the first start, as a container's image does."""

from newstide.core import logs
from newstide.core.settings import Settings
from newstide.embedding.e5.conversion import converted
from newstide.embedding.e5.weights import weight_file

if __name__ == "__main__":
    logs.configure()
    with converted(weight_file(), Settings.load().cache_dir) as model:
        print(model.folder)  # noqa: T201
