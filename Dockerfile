# docker run --rm --user "$(id -u)" --volume "$PWD:/repo" penstock render
FROM python:3.13-slim-bookworm AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY generator generator
COPY templates templates
COPY schemas schemas
RUN python -m venv /opt/penstock && /opt/penstock/bin/pip install --no-cache-dir .

FROM python:3.13-slim-bookworm
# Git refuses repositories of other users; here the repository is mounted, and its owner is somebody else as a rule.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git openssh-client \
    && rm -rf /var/lib/apt/lists/* \
    && git config --system --add safe.directory '*' \
    && useradd --uid 10001 --create-home penstock
COPY --from=build /opt/penstock /opt/penstock
ENV PATH=/opt/penstock/bin:$PATH
USER 10001
WORKDIR /repo
ENTRYPOINT ["penstock"]
