# shellcheck shell=bash disable=SC2034,SC2154
# What the tests stand on. Sourced by tests/run, whose `work`, `started` and `container` it uses.

fail() {
    printf 'tests/run: %s\n' "$1" >&2
    exit 69
}

has() { command -v "$1" >/dev/null 2>&1; }

# So many free loopback ports, on one line.
free_ports() {
    perl -MIO::Socket::INET -e '
        my @held = map { IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1") or die "no free port: $!" } 1 .. shift;
        print join(" ", map { $_->sockport } @held), "\n"' "$1"
}

# Installs a Debian package when root; the daemon of a package is not started.
install_debian() {
    [ "$(id -u)" -eq 0 ] && has apt-get || return 1
    export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
    { apt-get install -y --no-install-recommends "$1" || { apt-get update && apt-get install -y --no-install-recommends "$1"; }; } \
        >"$work/apt.log" 2>&1 || { tail -n 5 "$work/apt.log" >&2; return 1; }
}

# Chromium, for the tests that look at the status page; prints its path.
need_chromium() {
    has chromium || install_debian chromium || fail "chromium is missing: install Debian's package chromium"
    command -v chromium
}

start_redis() {
    has redis-server || install_debian redis-server || true
    SOUNDER_TEST_REDIS_SERVER=$(command -v redis-server || true)
    redis_port=""
    if [ -n "${SOUNDER_TEST_REDIS:-}" ]; then return; fi
    [ -n "$SOUNDER_TEST_REDIS_SERVER" ] || fail \
        "redis-server is missing and cannot be installed here: apt-get install redis-server, or set SOUNDER_TEST_REDIS=redis://HOST:PORT"
    redis_port=$(free_ports 1)
    "$SOUNDER_TEST_REDIS_SERVER" --port "$redis_port" --bind 127.0.0.1 --save '' --appendonly no \
        --maxmemory-policy noeviction --dir "$work" >"$work/redis.log" 2>&1 &
    redis_pid=$!
    started+=("$redis_pid")
    SOUNDER_TEST_REDIS="redis://127.0.0.1:$redis_port"
}

start_kafka() {
    kafka_port=""
    if [ -n "${SOUNDER_TEST_KAFKA:-}" ]; then return; fi
    local controller_port
    read -r kafka_port controller_port < <(free_ports 2)
    SOUNDER_TEST_KAFKA="127.0.0.1:$kafka_port"
    if has java && has mvn; then
        start_kafka_with_java "$controller_port"
    elif has docker && docker info >/dev/null 2>&1; then
        start_kafka_with_docker
    else
        fail "no broker to test with: install Java 17 and Maven (apt-get install openjdk-17-jre-headless maven), or start a docker engine, or set SOUNDER_TEST_KAFKA=HOST:PORT"
    fi
}

# Kafka's jars, fetched once per version of the pom.
kafka_jars() {
    local pom=tests/setup/kafka/pom.xml
    jars="$PWD/.cache/kafka-$(cksum <$pom | cut -d' ' -f1)"
    [ -d "$jars" ] && return
    mkdir -p .cache
    rm -rf "$jars.part"
    mvn -B -q -f "$pom" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$jars.part" \
        >"$work/kafka.log" 2>&1 || fail "failed to fetch Kafka's jars with Maven, see below"
    mv "$jars.part" "$jars"
}

# A fresh directory is formatted by its meta.properties; that saves starting Java twice.
start_kafka_with_java() {
    local jars
    kafka_jars
    # Tests that stop and kill a broker start one of their own from these.
    export SOUNDER_TEST_KAFKA_CLASSPATH="$jars/*"
    mkdir -p "$work/kafka"
    printf '%s\n' version=1 cluster.id=c291bmRlci10ZXN0cy1vaw node.id=1 directory.id=c291bmRlci10ZXN0cy1vbg \
        >"$work/kafka/meta.properties"
    sed -e "s|@BROKER@|$kafka_port|g" -e "s|@CONTROLLER@|$1|g" -e "s|@DIR@|$work/kafka|g" \
        tests/setup/kafka/server.properties >"$work/server.properties"
    java -Xms128m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dorg.slf4j.simpleLogger.defaultLogLevel=warn \
        -cp "$jars/*" kafka.Kafka "$work/server.properties" >"$work/kafka.log" 2>&1 &
    kafka_pid=$!
    started+=("$kafka_pid")
}

start_kafka_with_docker() {
    container=$(docker run -d --rm -p "127.0.0.1:$kafka_port:$kafka_port" \
        -e KAFKA_NODE_ID=1 -e KAFKA_PROCESS_ROLES=broker,controller \
        -e "KAFKA_LISTENERS=PLAINTEXT://:$kafka_port,CONTROLLER://:9093" \
        -e "KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://127.0.0.1:$kafka_port" \
        -e KAFKA_CONTROLLER_LISTENER_NAMES=CONTROLLER -e KAFKA_CONTROLLER_QUORUM_VOTERS=1@localhost:9093 \
        -e KAFKA_LISTENER_SECURITY_PROTOCOL_MAP=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT \
        -e KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR=1 -e KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS=0 \
        apache/kafka:4.1.1) || fail "docker failed to start apache/kafka:4.1.1"
}

# Waits at most so many tries of 0.1 s for a command to succeed while a process lives.
wait_for() {
    local what=$1 pid=$2 tries=$3
    shift 3
    until "$@" 2>/dev/null; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || fail "$what did not answer in time"
        [ -z "$pid" ] || kill -0 "$pid" 2>/dev/null || fail "$what ended while starting"
        sleep 0.1
    done
}

wait_for_redis() {
    [ -z "$redis_port" ] || wait_for Redis "$redis_pid" 100 redis_answers
}

wait_for_kafka() {
    [ -z "$kafka_port" ] || wait_for Kafka "${kafka_pid:-}" 600 kafka_answers
}

redis_answers() {
    perl -MIO::Socket::INET -e '
        my $s = IO::Socket::INET->new(PeerAddr => shift, Timeout => 2) or exit 1;
        print $s "PING\r\n"; $s->flush; exit !((<$s> // "") =~ /PONG/)' "127.0.0.1:$redis_port"
}

# ApiVersions v0, the first question of the protocol: length, key 18, version 0, correlation 7, no client id.
kafka_answers() {
    perl -MIO::Socket::INET -e '
        my $s = IO::Socket::INET->new(PeerAddr => shift, Timeout => 2) or exit 1;
        alarm 5; print $s pack "NnnNn", 10, 18, 0, 7, 0xffff; $s->flush;
        my $read = sysread $s, my $answer, 10; exit 1 unless ($read // 0) == 10;
        my (undef, $id, $error) = unpack "NNn", $answer; exit !($id == 7 && $error == 0)' "127.0.0.1:$kafka_port"
}
