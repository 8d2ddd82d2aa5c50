# Bardlab as an image. Nothing is fetched once it is built.
#
#   docker build -t bardlab .                                                        CPU, and any GPU that torch's own wheel drives
#   docker build -t bardlab --build-arg BASE=nvidia/cuda:13.0.2-runtime-ubuntu24.04 .   with NVIDIA's libraries and tools
#   docker build -t bardlab --build-arg EXTRAS=cluster .                             with Ray, for docs/deploy.md's cluster
ARG BASE=python:3.13-slim-trixie
# hadolint ignore=DL3006
FROM ${BASE}

# The compiler is what torch.compile needs; Python is there already on Python's own base.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && (command -v python3 || apt-get install --yes --no-install-recommends python3 python3-dev python3-venv) \
    && rm -rf /var/lib/apt/lists/*

# The names of the group and the user do not matter, their numbers do: those who own a shared volume.
ARG USER_ID=10001
RUN (getent group ${USER_ID} || groupadd --gid ${USER_ID} bardlab) \
    && (getent passwd ${USER_ID} || useradd --uid ${USER_ID} --gid ${USER_ID} --no-create-home --home-dir /data bardlab) \
    && install --directory --owner=${USER_ID} --group=${USER_ID} /data

WORKDIR /app
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1
COPY pyproject.toml constraints.txt README.md ./
# EXTRAS: "cluster" brings Ray. PIP_ARGUMENTS: such as another index, for torch's smaller wheels without CUDA.
ARG EXTRAS=""
ARG PIP_ARGUMENTS=""
# hadolint ignore=SC2086
RUN mkdir core && touch core/__init__.py \
    && python3 -m venv /opt/venv \
    && pip install --no-cache-dir --constraint constraints.txt ${PIP_ARGUMENTS} \
    --editable ".${EXTRAS:+[${EXTRAS}]}" "streamlit[auth]"
COPY app.py ./
COPY .streamlit/config.toml .streamlit/
COPY core core
COPY pages pages
COPY data data
COPY checkpoints/pretrained checkpoints/pretrained
RUN python -m compileall -q core pages

# All that is written lies in /data, a volume; the image itself can be read-only.
ENV BARDLAB_HOME=/data HOME=/data MPLCONFIGDIR=/tmp/matplotlib RAY_USAGE_STATS_ENABLED=0
VOLUME /data
USER ${USER_ID}
EXPOSE 8501
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]
# In a container it has to listen on all addresses, which it does only with a login or BARDLAB_OPEN=1.
CMD ["python", "-m", "streamlit", "run", "app.py", "--server.headless", "true", "--server.address", "0.0.0.0"]
