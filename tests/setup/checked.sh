# shellcheck shell=bash
# How our own crate is built for tests and lints: quickly, with every assertion and overflow check
# on. The dependencies stay those of the release profile, so that they are compiled once for the
# demo, the lints and the tests alike.
# shellcheck disable=SC2034
checked=(
    --config 'profile.release.package.sounder.opt-level=0'
    --config 'profile.release.package.sounder.debug-assertions=true'
    --config 'profile.release.package.sounder.overflow-checks=true'
)
export CARGO_INCREMENTAL=1
