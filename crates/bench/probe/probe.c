/*
 * The client side of a benchmark: one process a measurement, one broker address, one line of `key=value` pairs on
 * standard output. All durations are microseconds of CLOCK_MONOTONIC, all sizes bytes. The exit status is 0 when the
 * measurement was completed, 1 when the broker did not do what was asked of it in time, 2 for a wrong call.
 *
 *   probe version
 *   probe ready    BOOT TOPIC                                     until one record is acknowledged
 *   probe create   BOOT PREFIX TOPICS PARTITIONS BATCH [KEY=VALUE]
 *                  BATCH topics a request, named PREFIX-0, PREFIX-1, ..., with one setting if given
 *   probe delete   BOOT TOPIC...
 *   probe fill     BOOT PREFIX TOPICS PARTITIONS                  one acknowledged record in every partition
 *   probe consume  BOOT TOPIC PARTITIONS EXPECTED SECONDS         read everything back, check order and completeness:
 *                  elapsed_us is first fetch to last record, first_us is client creation to first record
 *   probe latency  BOOT TOPIC RATE SECONDS ACKS SIZE              open loop: acknowledgement and end-to-end latency
 *   probe window   BOOT TOPIC COUNT ACKS SIZE IN_FLIGHT           closed loop: IN_FLIGHT records, one a request
 *   probe commit   BOOT TOPIC GROUPS SECONDS                      each group's consumer commits, waits, commits again
 *   probe commits  BOOT TOPIC CONNECTIONS IN_FLIGHT SECONDS       bare OffsetCommit requests, a group a connection; the
 *                  last offset of each group is read back
 *   probe metadata BOOT COUNT                                     full-cluster metadata, one request at a time
 *   probe cpu      PID                                            processor time a process has used so far
 */
#include <librdkafka/rdkafka.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

enum { OK = 0, FAILED = 1, USAGE = 2 };

/* The broker may stay silent this long, in microseconds, before a measurement is given up. */
#define SILENCE_US (20 * 1000000LL)
/* One measurement, whatever it is, ends within this. The caller's own deadline is longer. */
#define WHOLE_US (120 * 1000000LL)
/* Partitions a topic may have here: the arrays below are sized from the command line. */
#define MOST_PARTITIONS 200000

static int64_t clock_us(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void sleep_until_us(int64_t due) {
        struct timespec at = {.tv_sec = due / 1000000, .tv_nsec = due % 1000000 * 1000};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL)) {
        }
}

static void usage(const char *why) {
        fprintf(stderr, "probe: %s (the head of probe.c lists the calls)\n", why);
        exit(USAGE);
}

static long number(const char *text, long least, long most) {
        char *end;
        long value = strtol(text, &end, 10);
        if (*text == 0 || *end != 0 || value < least || value > most)
                usage(text);
        return value;
}

static void *zeroed(size_t count, size_t size) {
        void *memory = calloc(count ? count : 1, size);
        if (!memory) {
                fprintf(stderr, "probe: out of memory\n");
                exit(FAILED);
        }
        return memory;
}

/* ---- samples ---------------------------------------------------------------------------------------------------- */

/* Latencies in microseconds. Samples past `room` are dropped: each caller sizes it to what it sends. */
struct samples {
        int64_t *us;
        size_t count, room;
};

static struct samples samples_for(size_t room) {
        return (struct samples) {.us = zeroed(room, sizeof(int64_t)), .room = room};
}

static void samples_add(struct samples *samples, int64_t us) {
        if (samples->count < samples->room)
                samples->us[samples->count++] = us;
}

static int ascending(const void *left, const void *right) {
        int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
        return (a > b) - (a < b);
}

/* Prints NAME_p50_us and so on; nothing without samples, so that a missing figure cannot pass for a small one. */
static void samples_print(const char *name, struct samples *samples) {
        static const struct {
                const char *label;
                double share;
        } points[] = {{"p50", 0.5}, {"p95", 0.95}, {"p99", 0.99}, {"p999", 0.999}, {"max", 1.0}};
        if (samples->count == 0)
                return;
        qsort(samples->us, samples->count, sizeof(int64_t), ascending);
        for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
                size_t rank = (size_t)((double)(samples->count - 1) * points[i].share);
                printf(" %s_%s_us=%lld", name, points[i].label, (long long)samples->us[rank]);
        }
}

/* ---- clients ---------------------------------------------------------------------------------------------------- */

static void set(rd_kafka_conf_t *conf, const char *key, const char *value) {
        char why[256];
        if (rd_kafka_conf_set(conf, key, value, why, sizeof why) != RD_KAFKA_CONF_OK)
                usage(why);
}

/* Connection losses are expected while a broker starts; what matters is judged by the figures, not by the log. */
static void no_log(const rd_kafka_t *client, int level, const char *facility, const char *text) {
        (void)client, (void)level, (void)facility, (void)text;
}

static rd_kafka_conf_t *common(const char *boot) {
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        set(conf, "bootstrap.servers", boot);
        set(conf, "socket.nagle.disable", "true");
        set(conf, "reconnect.backoff.ms", "2");
        set(conf, "reconnect.backoff.max.ms", "10");
        rd_kafka_conf_set_log_cb(conf, no_log);
        return conf;
}

static rd_kafka_t *client(rd_kafka_type_t type, rd_kafka_conf_t *conf) {
        char why[256];
        rd_kafka_t *made = rd_kafka_new(type, conf, why, sizeof why);
        if (!made)
                usage(why);
        return made;
}

/* What one producer has sent and heard. `acks` is written by whichever thread polls, read by another. */
struct producer {
        rd_kafka_t *handle;
        const char *topic;
        char *payload;
        size_t size;
        struct samples latency;
        atomic_long acknowledged, failed;
        atomic_int stop;
        char first_error[128];
};

static void on_delivery(rd_kafka_t *handle, const rd_kafka_message_t *message, void *opaque) {
        struct producer *producer = opaque;
        (void)handle;
        if (message->err) {
                if (atomic_fetch_add(&producer->failed, 1) == 0)
                        snprintf(producer->first_error, sizeof producer->first_error, "%s",
                                 rd_kafka_err2name(message->err));
                return;
        }
        if (message->_private)
                samples_add(&producer->latency, clock_us() - (int64_t)(intptr_t)message->_private);
        atomic_fetch_add(&producer->acknowledged, 1);
}

static void producer_open(struct producer *producer, rd_kafka_conf_t *conf, const char *acks) {
        set(conf, "acks", acks);
        set(conf, "linger.ms", "0");
        set(conf, "topic.metadata.refresh.fast.interval.ms", "10");
        rd_kafka_conf_set_opaque(conf, producer);
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
        producer->handle = client(RD_KAFKA_PRODUCER, conf);
}

/* Sends one record stamped now. `timed` says whether its latency counts. Polls while the local queue is full. */
static int producer_send(struct producer *producer, const char *topic, int32_t partition, int timed) {
        for (;;) {
                int64_t now = clock_us();
                rd_kafka_resp_err_t err = rd_kafka_producev(
                    producer->handle, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
                    RD_KAFKA_V_VALUE(producer->payload, producer->size), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                    RD_KAFKA_V_OPAQUE((void *)(intptr_t)(timed ? now : 0)), RD_KAFKA_V_END);
                if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
                        return OK;
                if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL)
                        return FAILED;
                rd_kafka_poll(producer->handle, 5);
        }
}

static long producer_answered(struct producer *producer) {
        return atomic_load(&producer->acknowledged) + atomic_load(&producer->failed);
}

static void producer_print(struct producer *producer, long sent, int64_t elapsed) {
        printf(" sent=%ld acked=%ld failed=%ld elapsed_us=%lld", sent, atomic_load(&producer->acknowledged),
               atomic_load(&producer->failed), (long long)elapsed);
        if (producer->first_error[0])
                printf(" error=%s", producer->first_error);
}

/* ---- ready ------------------------------------------------------------------------------------------------------ */

static int ready(char **arg) {
        char payload[1] = {'x'};
        struct producer producer = {.topic = arg[1], .payload = payload, .size = 1};
        int64_t begun = clock_us();
        producer_open(&producer, common(arg[0]), "1");
        if (producer_send(&producer, producer.topic, 0, 0))
                return FAILED;
        while (producer_answered(&producer) == 0 && clock_us() - begun < WHOLE_US)
                rd_kafka_poll(producer.handle, 1);
        printf("ready");
        producer_print(&producer, 1, clock_us() - begun);
        printf("\n");
        return atomic_load(&producer.acknowledged) == 1 ? OK : FAILED;
}

/* ---- topics ----------------------------------------------------------------------------------------------------- */

/* Waits for one admin answer of any kind; the caller destroys it. */
static rd_kafka_event_t *admin_answer(rd_kafka_queue_t *queue) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 60000);
        if (!event)
                fprintf(stderr, "probe: no answer to an admin request\n");
        else if (rd_kafka_event_error(event))
                fprintf(stderr, "probe: %s\n", rd_kafka_event_error_string(event));
        return event;
}

static long count_created(rd_kafka_event_t *event, char *first_error, size_t room) {
        size_t count = 0;
        long good = 0;
        if (!event || rd_kafka_event_error(event))
                return 0;
        const rd_kafka_topic_result_t **results =
            rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
        for (size_t i = 0; i < count; i++) {
                rd_kafka_resp_err_t err = rd_kafka_topic_result_error(results[i]);
                if (!err)
                        good++;
                else if (!first_error[0])
                        snprintf(first_error, room, "%s", rd_kafka_err2name(err));
        }
        return good;
}

/* Sends one CreateTopics request for topics [first, first + count) and returns how many were created. */
static long create_batch(rd_kafka_t *handle, rd_kafka_queue_t *queue, const char *prefix, long first, long count,
                         int partitions, char *config, char *first_error, size_t room) {
        char why[256], name[256];
        rd_kafka_NewTopic_t **wanted = zeroed((size_t)count, sizeof *wanted);
        for (long i = 0; i < count; i++) {
                snprintf(name, sizeof name, "%s-%ld", prefix, first + i);
                wanted[i] = rd_kafka_NewTopic_new(name, partitions, 1, why, sizeof why);
                if (!wanted[i])
                        usage(why);
                if (config) {
                        char key[128];
                        const char *equals = strchr(config, '=');
                        if (!equals || (size_t)(equals - config) >= sizeof key)
                                usage(config);
                        snprintf(key, sizeof key, "%.*s", (int)(equals - config), config);
                        rd_kafka_NewTopic_set_config(wanted[i], key, equals + 1);
                }
        }
        rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(handle, RD_KAFKA_ADMIN_OP_CREATETOPICS);
        rd_kafka_AdminOptions_set_request_timeout(options, 60000, why, sizeof why);
        rd_kafka_AdminOptions_set_operation_timeout(options, 55000, why, sizeof why);
        rd_kafka_CreateTopics(handle, wanted, (size_t)count, options, queue);
        rd_kafka_event_t *event = admin_answer(queue);
        long good = count_created(event, first_error, room);
        if (event)
                rd_kafka_event_destroy(event);
        rd_kafka_AdminOptions_destroy(options);
        rd_kafka_NewTopic_destroy_array(wanted, (size_t)count);
        free(wanted);
        return good;
}

static int create(char **arg) {
        long topics = number(arg[2], 1, 1000000), batch = number(arg[4], 1, 100000);
        int partitions = (int)number(arg[3], 1, MOST_PARTITIONS);
        char first_error[128] = "";
        rd_kafka_t *handle = client(RD_KAFKA_PRODUCER, common(arg[0]));
        rd_kafka_queue_t *queue = rd_kafka_queue_new(handle);
        struct samples request = samples_for((size_t)(topics / batch + 1));
        long created = 0, asked = 0;
        int64_t begun = clock_us();
        while (asked < topics && clock_us() - begun < 5 * WHOLE_US) {
                long count = topics - asked < batch ? topics - asked : batch;
                int64_t sent = clock_us();
                long good = create_batch(handle, queue, arg[1], asked, count, partitions, arg[5], first_error,
                                         sizeof first_error);
                samples_add(&request, clock_us() - sent);
                created += good;
                asked += count;
        }
        printf("create created=%ld elapsed_us=%lld", created, (long long)(clock_us() - begun));
        if (first_error[0])
                printf(" error=%s", first_error);
        samples_print("request", &request);
        printf("\n");
        return created == topics ? OK : FAILED;
}

static int delete(char **arg) {
        size_t count = 0;
        while (arg[1 + count])
                count++;
        rd_kafka_t *handle = client(RD_KAFKA_PRODUCER, common(arg[0]));
        rd_kafka_queue_t *queue = rd_kafka_queue_new(handle);
        rd_kafka_DeleteTopic_t **wanted = zeroed(count, sizeof *wanted);
        for (size_t i = 0; i < count; i++)
                wanted[i] = rd_kafka_DeleteTopic_new(arg[1 + i]);
        int64_t begun = clock_us();
        rd_kafka_DeleteTopics(handle, wanted, count, NULL, queue);
        rd_kafka_event_t *event = admin_answer(queue);
        long deleted = 0;
        if (event && !rd_kafka_event_error(event)) {
                size_t answers = 0;
                const rd_kafka_topic_result_t **results =
                    rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &answers);
                for (size_t i = 0; i < answers; i++)
                        deleted += rd_kafka_topic_result_error(results[i]) == RD_KAFKA_RESP_ERR_NO_ERROR;
        }
        printf("delete deleted=%ld elapsed_us=%lld\n", deleted, (long long)(clock_us() - begun));
        return deleted == (long)count ? OK : FAILED;
}

static int fill(char **arg) {
        long topics = number(arg[2], 1, 1000000), partitions = number(arg[3], 1, MOST_PARTITIONS), sent = 0;
        char payload[100] = {0}, name[256];
        struct producer producer = {.payload = payload, .size = sizeof payload};
        rd_kafka_conf_t *conf = common(arg[0]);
        set(conf, "queue.buffering.max.messages", "1000000");
        int64_t begun = clock_us();
        producer_open(&producer, conf, "all");
        for (long t = 0; t < topics; t++) {
                snprintf(name, sizeof name, "%s-%ld", arg[1], t);
                for (long p = 0; p < partitions; p++, sent++)
                        if (producer_send(&producer, name, (int32_t)p, 0))
                                return FAILED;
                /* One topic at a time: the client keeps a queue a partition, and this bounds them. */
                int64_t heard = clock_us();
                for (long answered = 0; answered < sent && clock_us() - heard < SILENCE_US;) {
                        rd_kafka_poll(producer.handle, 20);
                        if (producer_answered(&producer) != answered)
                                heard = clock_us();
                        answered = producer_answered(&producer);
                }
        }
        printf("fill");
        producer_print(&producer, sent, clock_us() - begun);
        printf("\n");
        return atomic_load(&producer.acknowledged) == sent ? OK : FAILED;
}

/* ---- consume ---------------------------------------------------------------------------------------------------- */

/* What was read of one topic. Offsets of a partition must rise by one: a hole is lost data, a step back a repeat. */
struct tally {
        int64_t *next_offset; /* per partition, -1 before its first record */
        long partitions, records, holes, repeats;
        int64_t bytes, first_us, last_us;
};

static void tally_record(struct tally *tally, const rd_kafka_message_t *message, int64_t now) {
        int64_t *next = &tally->next_offset[message->partition];
        if (*next >= 0 && message->offset > *next)
                tally->holes++;
        if (*next >= 0 && message->offset < *next)
                tally->repeats++;
        *next = message->offset + 1;
        tally->records++;
        tally->bytes += (int64_t)message->len;
        tally->last_us = now;
        if (!tally->first_us)
                tally->first_us = now;
}

/*
 * The sum over partitions of the high watermark: where the broker says the logs end; -1 if it does not say. Asked on
 * a connection of its own, for on the consumer's it would wait behind a fetch at the end of the log.
 */
static long log_end(const char *boot, const char *topic, long partitions) {
        rd_kafka_t *handle = client(RD_KAFKA_CONSUMER, common(boot));
        long sum = 0;
        for (long p = 0; p < partitions; p++) {
                int64_t low = 0, high = 0;
                if (rd_kafka_query_watermark_offsets(handle, topic, (int32_t)p, &low, &high, 10000))
                        return -1;
                sum += (long)high;
        }
        return sum;
}

/*
 * Learns the topic's leaders before the consumer starts. A librdkafka consumer told to start on a partition whose
 * leader it does not know looks again after a fixed 500 ms, which is a figure of the client and not of the broker.
 */
static int know_leaders(rd_kafka_t *handle, rd_kafka_topic_t *topic) {
        const struct rd_kafka_metadata *answer;
        if (rd_kafka_metadata(handle, 0, topic, &answer, (int)(SILENCE_US / 1000)))
                return FAILED;
        int known = answer->topic_cnt == 1 && answer->topics[0].err == RD_KAFKA_RESP_ERR_NO_ERROR;
        rd_kafka_metadata_destroy(answer);
        return known ? OK : FAILED;
}

/* Counts what the queue has, waiting at most `wait_ms` for the first of it. Returns the number of records. */
static long take(rd_kafka_queue_t *queue, struct tally *tally, int wait_ms) {
        static rd_kafka_message_t *batch[10000];
        ssize_t count = rd_kafka_consume_batch_queue(queue, wait_ms, batch, sizeof batch / sizeof *batch);
        int64_t now = clock_us();
        long before = tally->records;
        for (ssize_t i = 0; i < count; i++) {
                int32_t partition = batch[i]->partition;
                if (!batch[i]->err && partition >= 0 && partition < tally->partitions)
                        tally_record(tally, batch[i], now);
                rd_kafka_message_destroy(batch[i]);
        }
        return tally->records - before;
}

/*
 * Reads until `expected` records came, or none came for the silence limit, or `limit_us` passed since `begun`. Then
 * looks once more, for the record too many that a repeated produce leaves.
 */
static void read_back(rd_kafka_queue_t *queue, struct tally *tally, long expected, int64_t begun, int64_t limit_us) {
        int64_t heard = clock_us();
        while (tally->records < expected && clock_us() - heard < SILENCE_US && clock_us() - begun < limit_us)
                if (take(queue, tally, 50))
                        heard = clock_us();
        take(queue, tally, 100);
}

static int consume(char **arg) {
        long partitions = number(arg[2], 1, MOST_PARTITIONS), expected = number(arg[3], 0, 2000000000);
        int64_t limit_us = number(arg[4], 1, 3600) * 1000000LL;
        rd_kafka_conf_t *conf = common(arg[0]);
        set(conf, "check.crcs", "true");
        set(conf, "fetch.message.max.bytes", "4194304");
        set(conf, "queued.min.messages", "1000000");
        set(conf, "queued.max.messages.kbytes", "262144");
        struct tally tally = {.next_offset = zeroed((size_t)partitions, sizeof(int64_t)), .partitions = partitions};
        for (long p = 0; p < partitions; p++)
                tally.next_offset[p] = -1;

        int64_t begun = clock_us();
        rd_kafka_t *handle = client(RD_KAFKA_CONSUMER, conf);
        rd_kafka_topic_t *topic = rd_kafka_topic_new(handle, arg[1], NULL);
        rd_kafka_queue_t *queue = rd_kafka_queue_new(handle);
        if (know_leaders(handle, topic))
                return FAILED;
        int64_t started = clock_us();
        for (long p = 0; p < partitions; p++)
                if (rd_kafka_consume_start_queue(topic, (int32_t)p, RD_KAFKA_OFFSET_BEGINNING, queue))
                        return FAILED;
        read_back(queue, &tally, expected, begun, limit_us);
        long end = log_end(arg[0], arg[1], partitions);
        printf("consume records=%ld bytes=%lld", tally.records, (long long)tally.bytes);
        printf(" holes=%ld repeats=%ld log_end=%ld", tally.holes, tally.repeats, end);
        if (tally.records)
                printf(" elapsed_us=%lld first_us=%lld", (long long)(tally.last_us - started),
                       (long long)(tally.first_us - begun));
        printf("\n");
        return tally.records == expected ? OK : FAILED;
}

/* ---- latency ---------------------------------------------------------------------------------------------------- */

/* A consumer at the tail. Payloads open with the sender's clock (same host, same clock), 0 for a warm-up record. */
struct tail {
        const char *boot, *topic;
        struct samples latency;
        atomic_int running, stop;
        atomic_long received;
};

static void *follow(void *opaque) {
        struct tail *tail = opaque;
        rd_kafka_t *handle = client(RD_KAFKA_CONSUMER, common(tail->boot));
        rd_kafka_topic_t *topic = rd_kafka_topic_new(handle, tail->topic, NULL);
        if (know_leaders(handle, topic) || rd_kafka_consume_start(topic, 0, RD_KAFKA_OFFSET_BEGINNING))
                return NULL;
        while (!atomic_load(&tail->stop)) {
                rd_kafka_message_t *message = rd_kafka_consume(topic, 0, 50);
                int64_t now = clock_us(), sent = 0;
                if (message && !message->err && message->len >= sizeof sent) {
                        memcpy(&sent, message->payload, sizeof sent);
                        if (sent) {
                                samples_add(&tail->latency, now - sent);
                                atomic_fetch_add(&tail->received, 1);
                        } else
                                atomic_store(&tail->running, 1);
                }
                if (message)
                        rd_kafka_message_destroy(message);
        }
        rd_kafka_consume_stop(topic, 0);
        return NULL;
}

static void *poll_deliveries(void *opaque) {
        struct producer *producer = opaque;
        while (!atomic_load(&producer->stop))
                rd_kafka_poll(producer->handle, 20);
        return NULL;
}

/* Sends warm-up records until the tail has seen one: connections, metadata and the first fetch are then behind us. */
static int warm_up(struct producer *producer, struct tail *tail) {
        int64_t begun = clock_us();
        long sent = 0;
        memset(producer->payload, 0, sizeof(int64_t));
        while (!atomic_load(&tail->running)) {
                if (clock_us() - begun > SILENCE_US || producer_send(producer, producer->topic, 0, 0))
                        return FAILED;
                sent++;
                sleep_until_us(clock_us() + 20000);
        }
        while (producer_answered(producer) < sent && clock_us() - begun < SILENCE_US)
                sleep_until_us(clock_us() + 1000);
        int heard = producer_answered(producer) == sent && atomic_load(&producer->failed) == 0;
        atomic_store(&producer->acknowledged, 0);
        return heard ? OK : FAILED;
}

static int latency(char **arg) {
        long rate = number(arg[2], 1, 1000000), seconds = number(arg[3], 1, 600), wanted = rate * seconds, sent = 0;
        size_t size = (size_t)number(arg[5], sizeof(int64_t), 1 << 20);
        struct producer producer = {.topic = arg[1], .payload = zeroed(1, size), .size = size};
        struct tail tail = {.boot = arg[0], .topic = arg[1], .latency = samples_for((size_t)wanted)};
        pthread_t follower, poller;
        producer.latency = samples_for((size_t)wanted);
        producer_open(&producer, common(arg[0]), arg[4]);
        pthread_create(&poller, NULL, poll_deliveries, &producer);
        pthread_create(&follower, NULL, follow, &tail);
        int outcome = warm_up(&producer, &tail);
        int64_t begun = clock_us();
        for (; outcome == OK && sent < wanted; sent++) {
                sleep_until_us(begun + sent * 1000000 / rate);
                int64_t now = clock_us();
                memcpy(producer.payload, &now, sizeof now);
                outcome = producer_send(&producer, producer.topic, 0, 1);
        }
        int64_t elapsed = clock_us() - begun, end = clock_us() + SILENCE_US;
        while ((producer_answered(&producer) < sent || atomic_load(&tail.received) < sent) && clock_us() < end)
                sleep_until_us(clock_us() + 5000);
        atomic_store(&tail.stop, 1);
        atomic_store(&producer.stop, 1);
        pthread_join(follower, NULL);
        pthread_join(poller, NULL);
        printf("latency");
        producer_print(&producer, sent, elapsed);
        printf(" received=%ld", atomic_load(&tail.received));
        samples_print("ack", &producer.latency);
        samples_print("e2e", &tail.latency);
        printf("\n");
        int whole = atomic_load(&producer.acknowledged) == wanted && atomic_load(&tail.received) == wanted;
        return outcome == OK && whole ? OK : FAILED;
}

/* ---- window ----------------------------------------------------------------------------------------------------- */

static int window(char **arg) {
        long count = number(arg[2], 1, 100000000), in_flight = number(arg[5], 1, 100000), sent = 0;
        size_t size = (size_t)number(arg[4], 1, 1 << 20);
        struct producer producer = {.topic = arg[1], .payload = zeroed(1, size), .size = size};
        rd_kafka_conf_t *conf = common(arg[0]);
        set(conf, "batch.num.messages", "1"); /* one record a request, so that the window counts requests */
        producer.latency = samples_for((size_t)count);
        producer_open(&producer, conf, arg[3]);
        if (producer_send(&producer, producer.topic, 0, 0)) /* connects and learns the leader, untimed */
                return FAILED;
        for (int64_t asked = clock_us(); producer_answered(&producer) < 1 && clock_us() - asked < SILENCE_US;)
                rd_kafka_poll(producer.handle, 10);
        if (atomic_load(&producer.acknowledged) != 1)
                return FAILED;
        atomic_store(&producer.acknowledged, 0);
        int64_t begun = clock_us();
        while (producer_answered(&producer) < count && clock_us() - begun < WHOLE_US) {
                while (sent < count && sent - producer_answered(&producer) < in_flight) {
                        if (producer_send(&producer, producer.topic, 0, 1))
                                return FAILED;
                        sent++;
                }
                rd_kafka_poll(producer.handle, 100);
        }
        printf("window");
        producer_print(&producer, sent, clock_us() - begun);
        samples_print("ack", &producer.latency);
        printf("\n");
        return atomic_load(&producer.acknowledged) == count ? OK : FAILED;
}

/* ---- metadata --------------------------------------------------------------------------------------------------- */

static int metadata(char **arg) {
        long count = number(arg[1], 1, 100000), topics = 0;
        struct samples request = samples_for((size_t)count);
        rd_kafka_t *handle = client(RD_KAFKA_PRODUCER, common(arg[0]));
        int64_t begun = clock_us();
        for (long i = 0; i <= count && clock_us() - begun < WHOLE_US; i++) {
                const struct rd_kafka_metadata *answer;
                int64_t sent = clock_us();
                if (rd_kafka_metadata(handle, 1, NULL, &answer, 20000))
                        continue;
                if (i > 0) /* the first one connects */
                        samples_add(&request, clock_us() - sent);
                topics = answer->topic_cnt;
                rd_kafka_metadata_destroy(answer);
        }
        printf("metadata topics=%ld answers=%zu", topics, request.count);
        samples_print("request", &request);
        printf("\n");
        return request.count == (size_t)count ? OK : FAILED;
}

/* ---- offset commits --------------------------------------------------------------------------------------------- */

/* The most commits of one group that are timed. */
#define MOST_COMMITS 2000000

struct committer {
        const char *boot, *topic;
        char group[64];
        long in_flight;
        int64_t until;
        struct samples samples;
        pthread_t thread;
        int failed;
};

/* One group through librdkafka: it commits, and waits for the answer. */
static void *commit_and_wait(void *opaque) {
        struct committer *own = opaque;
        rd_kafka_conf_t *conf = common(own->boot);
        set(conf, "group.id", own->group);
        set(conf, "enable.auto.commit", "false");
        rd_kafka_t *handle = client(RD_KAFKA_CONSUMER, conf);
        rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(1);
        rd_kafka_topic_partition_list_add(offsets, own->topic, 0);
        /* the first one connects and finds the coordinator, which a new one may take a while to be */
        for (int64_t asked = clock_us(); !own->failed;) {
                offsets->elems[0].offset = 0;
                if (!rd_kafka_commit(handle, offsets, 0))
                        break;
                own->failed = clock_us() - asked > SILENCE_US;
        }
        for (long i = 1; !own->failed && clock_us() < own->until; i++) {
                int64_t sent = clock_us();
                offsets->elems[0].offset = i;
                own->failed = rd_kafka_commit(handle, offsets, 0) != 0;
                samples_add(&own->samples, clock_us() - sent);
        }
        return NULL;
}

struct frame {
        uint8_t bytes[256];
        size_t length;
};

static void put(struct frame *frame, int64_t value, int width) {
        for (int shift = 8 * (width - 1); shift >= 0; shift -= 8)
                frame->bytes[frame->length++] = (uint8_t)(value >> shift);
}

static void put_string(struct frame *frame, const char *text) {
        size_t length = strlen(text);
        put(frame, (int64_t)length, 2);
        memcpy(frame->bytes + frame->length, text, length);
        frame->length += length;
}

static int64_t get(const uint8_t *bytes, int width) {
        uint64_t value = 0;
        for (int i = 0; i < width; i++)
                value = value << 8 | bytes[i];
        return width == 8 ? (int64_t)value : width == 4 ? (int32_t)value : (int16_t)value;
}

/* A frame's length and header. The group and topic names are far shorter than the room. */
static void begin_frame(struct frame *frame, int key, int version, int32_t correlation) {
        frame->length = 0;
        put(frame, 0, 4);
        put(frame, key, 2);
        put(frame, version, 2);
        put(frame, correlation, 4);
        put_string(frame, "probe");
}

static int send_frame(int stream, struct frame *frame) {
        size_t length = frame->length;
        frame->length = 0;
        put(frame, (int64_t)length - 4, 4);
        return send(stream, frame->bytes, length, MSG_NOSIGNAL) == (ssize_t)length;
}

/* OffsetCommit 2 of a consumer that is no member of its group. */
static int send_commit(int stream, struct committer *own, int32_t offset) {
        struct frame frame;
        begin_frame(&frame, 8, 2, offset);
        put_string(&frame, own->group);
        put(&frame, -1, 4); /* generation */
        put_string(&frame, ""); /* member */
        put(&frame, -1, 8); /* retention */
        put(&frame, 1, 4);
        put_string(&frame, own->topic);
        put(&frame, 1, 4);
        put(&frame, 0, 4); /* partition */
        put(&frame, offset, 8);
        put_string(&frame, "");
        return send_frame(stream, &frame);
}

/* A whole response behind its length: how many bytes, 0 when there is none or it is too large. */
static size_t receive(int stream, uint8_t *bytes, size_t room) {
        uint8_t length[4];
        if (recv(stream, length, 4, MSG_WAITALL) != 4)
                return 0;
        size_t size = (size_t)get(length, 4);
        return size <= room && recv(stream, bytes, size, MSG_WAITALL) == (ssize_t)size ? size : 0;
}

/* OffsetFetch 1: the offset is 12 bytes before the end: metadata, of no bytes, and the error follow. */
static int64_t committed_offset(int stream, struct committer *own) {
        struct frame frame;
        uint8_t answer[512];
        begin_frame(&frame, 9, 1, 1);
        put_string(&frame, own->group);
        put(&frame, 1, 4);
        put_string(&frame, own->topic);
        put(&frame, 1, 4);
        put(&frame, 0, 4);
        size_t size = send_frame(stream, &frame) ? receive(stream, answer, sizeof answer) : 0;
        return size > 16 && get(answer + size - 2, 2) == 0 ? get(answer + size - 12, 8) : -1;
}

static int open_stream(const char *boot) {
        char host[64];
        const char *colon = strrchr(boot, ':');
        if (!colon || (size_t)(colon - boot) >= sizeof host)
                usage("BOOT is HOST:PORT");
        memcpy(host, boot, (size_t)(colon - boot));
        host[colon - boot] = 0;
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
        if (getaddrinfo(host, colon + 1, &hints, &found))
                return -1;
        struct timeval silence = {.tv_sec = SILENCE_US / 1000000};
        int stream = socket(found->ai_family, SOCK_STREAM, 0), on = 1;
        setsockopt(stream, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(stream, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof silence);
        int refused = connect(stream, found->ai_addr, found->ai_addrlen);
        freeaddrinfo(found);
        return refused ? -1 : stream;
}

/* One connection and group: keeps requests in flight; each answer ends with its error. */
static void *commit_in_flight(void *opaque) {
        struct committer *own = opaque;
        int64_t *sent_at = zeroed((size_t)own->in_flight, sizeof *sent_at);
        uint8_t answer[512];
        int stream = open_stream(own->boot);
        int32_t sent = 0, answered = 0;
        own->failed = stream < 0;
        while (!own->failed && (answered < sent || clock_us() < own->until)) {
                while (!own->failed && sent - answered < own->in_flight && clock_us() < own->until) {
                        sent_at[sent % own->in_flight] = clock_us();
                        own->failed = !send_commit(stream, own, ++sent);
                }
                size_t size = own->failed ? 0 : receive(stream, answer, sizeof answer);
                answered++;
                own->failed = size < 8 || get(answer, 4) != answered || get(answer + size - 2, 2) != 0;
                samples_add(&own->samples, clock_us() - sent_at[(answered - 1) % own->in_flight]);
        }
        own->failed |= committed_offset(stream, own) != sent;
        return NULL;
}

static int run_committers(const char *name, char **arg, long count, long in_flight, long seconds,
                          void *(*body)(void *)) {
        struct committer *all = zeroed((size_t)count, sizeof *all);
        struct samples samples = samples_for((size_t)count * MOST_COMMITS);
        int64_t begun = clock_us();
        int failed = 0;
        for (long i = 0; i < count; i++) {
                all[i] = (struct committer) {.boot = arg[0], .topic = arg[1], .in_flight = in_flight,
                                             .until = begun + seconds * 1000000, .samples = samples_for(MOST_COMMITS)};
                snprintf(all[i].group, sizeof all[i].group, "%s-%ld", name, i);
                if (pthread_create(&all[i].thread, NULL, body, &all[i]))
                        usage("no thread");
        }
        for (long i = 0; i < count; i++) {
                pthread_join(all[i].thread, NULL);
                failed |= all[i].failed;
                for (size_t k = 0; k < all[i].samples.count; k++)
                        samples_add(&samples, all[i].samples.us[k]);
        }
        printf("%s committed=%zu elapsed_us=%lld", name, samples.count, (long long)(clock_us() - begun));
        samples_print("commit", &samples);
        printf("\n");
        return failed || samples.count == 0 ? FAILED : OK;
}

static int commit(char **arg) {
        return run_committers("commit", arg, number(arg[2], 1, 64), 1, number(arg[3], 1, 100), commit_and_wait);
}

static int commits(char **arg) {
        return run_committers("commits", arg, number(arg[2], 1, 64), number(arg[3], 1, 100000), number(arg[4], 1, 100),
                              commit_in_flight);
}

/* ---- processor time --------------------------------------------------------------------------------------------- */

/* The kernel counts a process in nanoseconds but shows ticks of 10 ms in /proc: too coarse for a short run. */
static int cpu(char **arg) {
        struct timespec used;
        clockid_t clock;
        if (clock_getcpuclockid((pid_t)number(arg[0], 1, 1L << 30), &clock) || clock_gettime(clock, &used))
                return FAILED;
        printf("cpu used_us=%lld\n", (long long)used.tv_sec * 1000000 + used.tv_nsec / 1000);
        return OK;
}

static int version(char **arg) {
        (void)arg;
        printf("version librdkafka=%s\n", rd_kafka_version_str());
        return OK;
}

int main(int count, char **arg) {
        static const struct {
                const char *name;
                int least, most;
                int (*run)(char **);
        } commands[] = {
            {"version", 0, 0, version}, {"ready", 2, 2, ready},     {"create", 5, 6, create},
            {"delete", 2, 1000, delete}, {"fill", 4, 4, fill},       {"consume", 5, 5, consume},
            {"latency", 6, 6, latency}, {"window", 6, 6, window}, {"metadata", 2, 2, metadata},
            {"commit", 4, 4, commit},   {"commits", 5, 5, commits},
            {"cpu", 1, 1, cpu},
        };
        for (size_t i = 0; count > 1 && i < sizeof commands / sizeof *commands; i++)
                if (!strcmp(arg[1], commands[i].name) && count - 2 >= commands[i].least &&
                    count - 2 <= commands[i].most) {
                        int status = commands[i].run(arg + 2);
                        fflush(stdout);
                        _Exit(status); /* tearing a client down can take its socket timeout; nothing is left to save */
                }
        usage("no such call");
}
