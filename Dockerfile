# oddroad for the CPU: the runtime alone, as a user without rights. docs/releases.md has its size and how it was measured.
#
#   make dist && docker build -t oddroad .
#   docker run --rm --network none --memory 2g -v "$PWD:/data" oddroad detect drive.mp4
FROM debian:trixie-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-venv binutils
COPY dist/oddroad-*.whl /tmp/
RUN python3 -m venv /opt/oddroad \
    && /opt/oddroad/bin/pip install --no-cache-dir --no-compile --only-binary :all: /tmp/oddroad-*.whl
COPY release/slim.sh /tmp/
RUN bash /tmp/slim.sh /opt/oddroad

FROM debian:trixie-slim
RUN apt-get update && apt-get install -y --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt /usr/share/doc /usr/share/man \
    && useradd --uid 1000 --create-home --shell /usr/sbin/nologin oddroad
COPY --from=build /opt/oddroad /opt/oddroad
ENV PATH=/opt/oddroad/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER oddroad
WORKDIR /data
ENTRYPOINT ["oddroad"]
CMD ["--help"]
