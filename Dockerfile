# The service, the lab and every other command, with all features. Needs no BuildKit.
#   docker build -t poolwise:0.1.0 --build-arg POOLWISE_COMMIT="$(git rev-parse HEAD)" .

FROM rust:1.95-bookworm AS build
WORKDIR /build
# dev builds faster and answers slower.
ARG PROFILE=release
# The dependencies first, under a program of nothing: this layer is built anew only when they change.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src benches examples \
    && echo 'fn main() {}' | tee src/main.rs benches/encoder.rs examples/drain_mysql.rs >/dev/null \
    && touch src/lib.rs \
    && cargo build --locked --all-features --bin poolwise --profile "$PROFILE" \
    && rm -r src benches examples
COPY . .
# For `poolwise --version`: build.rs reads it from the environment, because there is no repository in here.
ARG POOLWISE_COMMIT=
# Cargo goes by the time of the files, and those that were copied may be older than those of nothing.
RUN mkdir -p benches examples \
    && echo 'fn main() {}' | tee benches/encoder.rs examples/drain_mysql.rs >/dev/null \
    && find src -name '*.rs' -exec touch {} + \
    && cargo build --locked --all-features --bin poolwise --profile "$PROFILE" \
    && folder=$([ "$PROFILE" = dev ] && echo debug || echo "$PROFILE") \
    && cp "target/$folder/poolwise" /poolwise \
    && { command -v strip >/dev/null && strip /poolwise || true; }

FROM debian:bookworm-20251229-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/poolwise --create-home poolwise \
    && mkdir /lab-results \
    && chown poolwise /lab-results
COPY --from=build /poolwise /usr/local/bin/poolwise
COPY config /etc/poolwise
COPY LICENSE /usr/share/doc/poolwise/copyright

ARG POOLWISE_COMMIT=
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="Poolwise" \
    org.opencontainers.image.description="Direct, pooled or cached? One query, three ways, on your own database, and a lab that measures which way you need." \
    org.opencontainers.image.licenses="MIT" \
    org.opencontainers.image.version="$VERSION" \
    org.opencontainers.image.revision="$POOLWISE_COMMIT"

USER 10001
# Without a configuration the service keeps an embedded database in here.
WORKDIR /var/lib/poolwise
ENV POOLWISE__SERVER__LISTEN=0.0.0.0:8080
EXPOSE 8080
STOPSIGNAL SIGTERM
# Whether it answers, not whether its database does: a restart would not help against that.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s CMD ["poolwise", "health", "--live"]
ENTRYPOINT ["poolwise"]
CMD ["serve"]
