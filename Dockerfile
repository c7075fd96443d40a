# The binary alone, on distroless: no shell, no package manager, not root.
#   docker build -t ipaudit .
#   docker run --rm ipaudit --help
FROM rust:1.91-slim-bookworm AS build
# etcd's messages are compiled by protoc; descriptor.proto and its like are libprotobuf-dev's.
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev protobuf-compiler libprotobuf-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# What `ipaudit version` says: the repository itself is not copied. --build-arg IPAUDIT_COMMIT=$(git rev-parse HEAD)
ARG IPAUDIT_COMMIT=
# The address of the folder docs/, for the links in JSON; without it they are places in the repository.
ARG IPAUDIT_DOCS_URL=
COPY . .
RUN cargo build --release --locked --bin ipaudit

# SQLite and everything else is linked in: libc, libm and libgcc are all it needs, of the same Debian.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/ipaudit /usr/bin/ipaudit
# One pool of memory for all threads: a sixth less of it in a repeated audit, for no more time (docs/performance.md).
ENV MALLOC_ARENA_MAX=1
# nonroot; as a number, so that Kubernetes' runAsNonRoot can see it.
USER 65532:65532
ENTRYPOINT ["/usr/bin/ipaudit"]
