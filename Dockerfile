# syntax=docker/dockerfile:1
# One binary on Debian's slim image: librdkafka and OpenSSL are linked in, the rest is in every Debian.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc make perl && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# The manifest names the benches, so cargo wants to see them.
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
COPY benches benches
COPY src src
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --profile dist --locked --bin sounder && strip -o /usr/local/bin/sounder target/dist/sounder

FROM debian:bookworm-slim
# Certificates for Kafka over TLS; the rest brings its own.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/sounder --create-home sounder
COPY --from=build /usr/local/bin/sounder /usr/local/bin/sounder
USER 10001
WORKDIR /var/lib/sounder
VOLUME /var/lib/sounder
EXPOSE 8080 9090
# There is no curl; bash speaks enough HTTP. Where admin.listen is another port, override this with it.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/9090 && printf 'GET /readyz HTTP/1.0\\r\\nHost: 127.0.0.1\\r\\n\\r\\n' >&3 && read -r _ status _ <&3 && [ \"$status\" = 200 ]"]
ENTRYPOINT ["/usr/local/bin/sounder"]
CMD ["serve"]
