# A static binary and nothing else. Every base can be replaced, so that it builds where no registry is reachable.
ARG BUILDER=rust:1.95-bookworm
ARG CERTIFICATES=${BUILDER}
# `dev` is built in half the time, for tests.
ARG PROFILE=release

FROM ${BUILDER} AS build
ARG PROFILE
WORKDIR /src
# The second packs what would be a tenth of the file: where addresses are to be filled in when it is loaded.
ENV RUSTFLAGS="-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs"
# Dependencies first: they change less often than the program.
COPY Cargo.toml Cargo.lock ./
RUN target="$(rustc -vV | sed -n 's/^host: //p')" \
 && mkdir -p src tests/it benches && echo 'fn main() {}' > src/main.rs \
 && touch src/lib.rs tests/it/main.rs benches/backup.rs benches/lists.rs benches/vault.rs \
 && cargo build --profile "$PROFILE" --locked --target "$target" \
 && rm -rf src
COPY migrations migrations
COPY templates templates
COPY assets assets
COPY src src
RUN target="$(rustc -vV | sed -n 's/^host: //p')" \
 && touch src/main.rs src/lib.rs \
 && cargo build --profile "$PROFILE" --locked --target "$target" \
 && cp "target/$target/$([ "$PROFILE" = dev ] && echo debug || echo "$PROFILE")/container-monkey" /container-monkey \
 && mkdir -p /empty

FROM ${CERTIFICATES} AS certificates

FROM scratch
LABEL org.opencontainers.image.title="Container Monkey" \
      org.opencontainers.image.description="Backup and recovery for Docker containers" \
      org.opencontainers.image.licenses="GPL-3.0-or-later"
COPY --from=certificates /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /empty /tmp
COPY --from=build /container-monkey /container-monkey
ENV MONKEY_LISTEN=0.0.0.0:80 MONKEY_DATA=/backups
EXPOSE 80
VOLUME /backups
HEALTHCHECK --interval=30s --timeout=12s --start-period=20s CMD ["/container-monkey", "healthcheck"]
ENTRYPOINT ["/container-monkey"]
