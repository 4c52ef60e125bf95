# syntax=docker/dockerfile:1
# One target per role: agent, processor (also the watcher), exporter; replay is the agent that also reads captures.
#   docker build --target agent -t whocalls-agent:0.1.0 .
# Several architectures: docker buildx build --platform linux/amd64,linux/arm64 … (every locked package has both wheels).
# The last stage is the default of a build without --target.

ARG PYTHON_IMAGE=python:3.13.16-slim-trixie

# -- The wheel, and one virtual environment per role ------------------------------------------------------------------

FROM ${PYTHON_IMAGE} AS builder
ENV UV_LINK_MODE=copy \
    UV_PYTHON=/usr/local/bin/python3 \
    UV_PYTHON_DOWNLOADS=never
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --disable-pip-version-check --root-user-action=ignore uv==0.13.9
RUN mkdir /input
WORKDIR /src
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY callgraph callgraph
COPY capture_agent capture_agent
COPY stream_processor stream_processor
COPY sink_exporter sink_exporter
COPY whocalls whocalls
RUN --mount=type=cache,target=/root/.cache/uv \
    uv build --wheel --out-dir /dist .

# Versions and hashes come from the lock; --no-build refuses anything that would have to be compiled.
FROM builder AS agent-environment
RUN --mount=type=cache,target=/root/.cache/uv \
    uv venv /opt/whocalls \
    && uv pip install --python /opt/whocalls --no-build --compile-bytecode --constraint requirements.lock \
       "whocalls[agent] @ file://$(echo /dist/*.whl)" \
    && /opt/whocalls/bin/whocalls agent --help >/dev/null

FROM builder AS processor-environment
RUN --mount=type=cache,target=/root/.cache/uv \
    uv venv /opt/whocalls \
    && uv pip install --python /opt/whocalls --no-build --compile-bytecode --constraint requirements.lock \
       "whocalls[processor] @ file://$(echo /dist/*.whl)" \
    && /opt/whocalls/bin/whocalls processor --help >/dev/null

FROM builder AS exporter-environment
RUN --mount=type=cache,target=/root/.cache/uv \
    uv venv /opt/whocalls \
    && uv pip install --python /opt/whocalls --no-build --compile-bytecode --constraint requirements.lock \
       "whocalls[exporter] @ file://$(echo /dist/*.whl)" \
    && /opt/whocalls/bin/whocalls exporter --help >/dev/null

FROM builder AS replay-environment
RUN --mount=type=cache,target=/root/.cache/uv \
    uv venv /opt/whocalls \
    && uv pip install --python /opt/whocalls --no-build --compile-bytecode --constraint requirements.lock \
       "whocalls[agent,replay] @ file://$(echo /dist/*.whl)" \
    && /opt/whocalls/bin/whocalls agent --help >/dev/null

# -- What runs --------------------------------------------------------------------------------------------------------

FROM ${PYTHON_IMAGE} AS runtime
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="whocalls" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# The base image carries pip; nothing installs anything at run time.
RUN python3 -m pip uninstall --yes --root-user-action=ignore pip
# The root file system may be read-only: what a library caches goes to /tmp.
ENV HOME=/tmp \
    PATH=/opt/whocalls/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /tmp
ENTRYPOINT ["whocalls"]

FROM runtime AS rootless
USER 65532:65532

# GPL-2.0-only inside (scapy), which is why it is an image of its own.
FROM rootless AS replay
LABEL org.opencontainers.image.description="Replays captures and saved /proc trees as an agent would see them." \
      org.opencontainers.image.licenses="MIT AND GPL-2.0-only"
COPY --from=replay-environment /opt/whocalls /opt/whocalls
# A new volume takes the owner of the folder that it is mounted on.
COPY --from=builder --chown=65532:65532 /input /input
CMD ["agent"]

# git and ssh for exporter.git; ssh wants to know the name of its user.
FROM runtime AS with-git
# A version of a package vanishes from the archive with its next security update; the base image pins the release.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git openssh-client \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 65532 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin whocalls
USER 65532:65532

FROM with-git AS exporter
LABEL org.opencontainers.image.description="The call graph to files."
COPY --from=exporter-environment /opt/whocalls /opt/whocalls
CMD ["exporter"]

FROM rootless AS processor
LABEL org.opencontainers.image.description="Observations to the call graph; `watcher` as argument: Kubernetes objects to the inventory."
COPY --from=processor-environment /opt/whocalls /opt/whocalls
CMD ["processor"]

# Root, because Kubernetes has no ambient capabilities: uid 0 with NET_RAW alone is what opens a packet socket.
FROM runtime AS agent
LABEL org.opencontainers.image.description="Captures DNS answers, TCP SYNs and sockets on a node."
COPY --from=agent-environment /opt/whocalls /opt/whocalls
CMD ["agent"]
