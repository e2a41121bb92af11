# One image for every newstide service; docker-compose.yml says which command each runs.

ARG PYTHON=python:3.12.13-slim-bookworm


FROM ${PYTHON} AS wheel
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY newstide newstide
COPY newstide_app newstide_app
COPY producers producers
COPY consumers consumers
COPY clustering clustering
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .


FROM ${PYTHON} AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/newstide
COPY constraints.txt /constraints.txt
COPY --from=wheel /wheels /wheels
# bge-m3 and sentence-transformers models take torch (about 6 GB installed); the others take nothing more.
ARG EMBEDDING_MODEL=bge-m3
RUN case "${EMBEDDING_MODEL}" in \
        bge-m3 | sentence-transformers:*) extra='[bge]' ;; \
        multilingual-e5-small | use-multilingual) extra='' ;; \
        *) echo "Unknown EMBEDDING_MODEL: ${EMBEDDING_MODEL}" >&2; exit 1 ;; \
    esac \
    && /opt/newstide/bin/pip install --no-cache-dir --constraint /constraints.txt "$(ls /wheels/*.whl)${extra}"


FROM ${PYTHON}
LABEL org.opencontainers.image.title="newstide" \
      org.opencontainers.image.description="Turns a live stream of news headlines into stories that keep their identity" \
      org.opencontainers.image.licenses="Apache-2.0"
# Named volumes take over the owner of the folders they are mounted on.
RUN groupadd --system --gid 10001 newstide \
    && useradd --system --uid 10001 --gid newstide --create-home newstide \
    && install --directory --owner newstide --group newstide /data /pages /compiled /home/newstide/.cache
COPY producers/sample/day.jsonl /samples/day.jsonl
COPY --from=packages /opt/newstide /opt/newstide
ENV PATH=/opt/newstide/bin:${PATH} \
    HOME=/home/newstide \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    NUMBA_CACHE_DIR=/tmp/numba \
    NEWSTIDE_DATA_DIR=/data \
    NEWSTIDE_PAGES_DIRECTORY=/pages
WORKDIR /data
USER 10001:10001
# Else each container would convert its packaged weights for itself, at every start where its cache is read-only.
ARG EMBEDDING_MODEL=bge-m3
RUN if [ "${EMBEDDING_MODEL}" = multilingual-e5-small ]; then python -m newstide.embedding.e5; fi
CMD ["newstide", "--help"]
