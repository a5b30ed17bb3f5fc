import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigsOptions;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.FeatureUpdate;
import org.apache.kafka.clients.admin.FeatureUpdate.UpgradeType;
import org.apache.kafka.clients.admin.FinalizedVersionRange;
import org.apache.kafka.clients.admin.ListConfigResourcesOptions;
import org.apache.kafka.clients.admin.UpdateFeaturesOptions;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidRequestException;
import org.apache.kafka.common.errors.InvalidUpdateVersionException;
import org.apache.kafka.common.errors.UnsupportedVersionException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** The checks of features (KIP-584) and of the levels of loggers (KIP-412). Both are put back as they were. */
final class Administration {
    private static final String GROUP_VERSION = "group.version";
    private static final String ROOT = "root";

    private final Client client;
    private final Admin admin;
    private final String prefix;
    private final Main.Checks checks;

    Administration(Client client, String prefix, Main.Checks checks) {
        this.client = client;
        this.admin = client.admin();
        this.prefix = prefix;
        this.checks = checks;
    }

    void run() {
        checks.check("features are told and refused in Kafka's words", this::features);
        checks.check("no consumer protocol at group.version 0", this::withoutConsumerProtocol);
        checks.check("levels of loggers are set and inherited", this::loggers);
        checks.check("levels of loggers are refused in Kafka's words", this::loggersRefused);
    }

    private static <T> T get(KafkaFuture<T> future) throws Exception {
        return future.get(Client.DEADLINE_S, TimeUnit.SECONDS);
    }

    /** The broker refuses with this error, and words that begin and end so. */
    private static void refused(KafkaFuture<?> future, Class<?> error, String begin, String end) throws Exception {
        try {
            get(future);
        } catch (ExecutionException refused) {
            Throwable cause = refused.getCause();
            String words = String.valueOf(cause.getMessage());
            if (error.isInstance(cause) && words.startsWith(begin) && words.endsWith(end)) {
                return;
            }
            throw new AssertionError("refused otherwise: " + cause);
        }
        throw new AssertionError("not refused: " + begin + "..." + end);
    }

    private short level() throws Exception {
        FinalizedVersionRange found = get(admin.describeFeatures().featureMetadata()).finalizedFeatures().get(GROUP_VERSION);
        if (found == null) {
            return 0;
        }
        Main.expect("least and highest level", found.minVersionLevel(), found.maxVersionLevel());
        return found.maxVersionLevel();
    }

    private KafkaFuture<Void> update(String feature, int level, UpgradeType type, boolean validateOnly) {
        return admin.updateFeatures(Map.of(feature, new FeatureUpdate((short) level, type)),
                new UpdateFeaturesOptions().validateOnly(validateOnly)).all();
    }

    private void features() throws Exception {
        var supported = get(admin.describeFeatures().featureMetadata()).supportedFeatures().get(GROUP_VERSION);
        Main.expect("least version", supported.minVersion(), (short) 0);
        Main.expect("highest version", supported.maxVersion(), (short) 1);
        Main.expect("level", level(), (short) 1);
        String all = "The update failed for all features since the following feature had an error: ";
        Class<?> error = InvalidUpdateVersionException.class;
        refused(update(GROUP_VERSION, 2, UpgradeType.UPGRADE, false), error,
                all + "Invalid update version 2 for feature group.version. Local controller ", " only supports versions 0-1");
        refused(update("no.such", 1, UpgradeType.UPGRADE, false), error,
                all + "Invalid update version 1 for feature no.such. Local controller ", " does not support this feature.");
        refused(update("no.such", 0, UpgradeType.SAFE_DOWNGRADE, false), error,
                all + "Invalid update version 0 for feature no.such. ", "Feature no.such not found.");
        get(update(GROUP_VERSION, 0, UpgradeType.SAFE_DOWNGRADE, true));
        get(update(GROUP_VERSION, 1, UpgradeType.UPGRADE, false));
        Main.expect("level", level(), (short) 1);
    }

    private void withoutConsumerProtocol() throws Exception {
        String topic = prefix + "-no-protocol";
        client.createTopic(topic, 1, Map.of());
        get(update(GROUP_VERSION, 0, UpgradeType.UNSAFE_DOWNGRADE, false));
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(topic)) {
            Main.until("the level is told", () -> level() == 0);
            refused(update(GROUP_VERSION, 1, UpgradeType.SAFE_DOWNGRADE, false), InvalidUpdateVersionException.class,
                    "", "Can't downgrade to a newer version.");
            Main.until("the consumer is refused", () -> {
                try {
                    consumer.poll(Duration.ofMillis(200));
                    return false;
                } catch (UnsupportedVersionException refused) {
                    return true;
                }
            });
        } finally {
            get(update(GROUP_VERSION, 1, UpgradeType.UPGRADE, false));
            Main.until("the level is told again", () -> level() == 1);
        }
    }

    private KafkaConsumer<byte[], byte[]> consumer(String topic) {
        Map<String, Object> config = new HashMap<>();
        config.put("bootstrap.servers", client.bootstrap());
        config.put("group.id", topic);
        config.put("group.protocol", "consumer");
        var consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        consumer.subscribe(List.of(topic));
        return consumer;
    }

    private ConfigResource broker() throws Exception {
        String id = get(admin.describeCluster().nodes()).iterator().next().idString();
        return new ConfigResource(ConfigResource.Type.BROKER_LOGGER, id);
    }

    private Map<String, String> levels() throws Exception {
        ConfigResource broker = broker();
        Map<String, String> levels = new TreeMap<>();
        for (ConfigEntry entry : get(admin.describeConfigs(List.of(broker)).all()).get(broker).entries()) {
            Main.expect("source", entry.source(), ConfigEntry.ConfigSource.DYNAMIC_BROKER_LOGGER_CONFIG);
            levels.put(entry.name(), entry.value());
        }
        return levels;
    }

    /** A logger that no other inherits from and that has the root's level. */
    private String logger() throws Exception {
        Map<String, String> levels = levels();
        List<String> leaves = new ArrayList<>();
        for (String name : levels.keySet()) {
            boolean leaf = levels.keySet().stream().filter(other -> other.startsWith(name)).count() == 1;
            if (leaf && !name.equals(ROOT) && levels.get(name).equals(levels.get(ROOT))) {
                leaves.add(name);
            }
        }
        return leaves.get(0);
    }

    private KafkaFuture<Void> alter(boolean validateOnly, AlterConfigOp... changes) throws Exception {
        return admin.incrementalAlterConfigs(Map.of(broker(), List.of(changes)),
                new AlterConfigsOptions().validateOnly(validateOnly)).all();
    }

    private static AlterConfigOp set(String logger, String level) {
        return new AlterConfigOp(new ConfigEntry(logger, level), AlterConfigOp.OpType.SET);
    }

    private static AlterConfigOp delete(String logger) {
        return new AlterConfigOp(new ConfigEntry(logger, ""), AlterConfigOp.OpType.DELETE);
    }

    private void loggers() throws Exception {
        ConfigResource broker = broker();
        var listed = get(admin.listConfigResources(java.util.Set.of(ConfigResource.Type.BROKER_LOGGER),
                new ListConfigResourcesOptions()).all());
        Main.expect("listed", List.copyOf(listed), List.of(broker));
        String logger = logger();
        String root = levels().get(ROOT);
        String other = root.equals("WARN") ? "ERROR" : "WARN";
        get(alter(true, set(logger, "TRACE")));
        Main.expect("level where it is only checked", levels().get(logger), root);
        try {
            for (String level : List.of("TRACE", "DEBUG", "INFO", "WARN", "ERROR")) {
                get(alter(false, set(logger, level)));
                Main.expect("level", levels().get(logger), level);
            }
            get(alter(false, set(logger, "FATAL")));
            get(alter(false, delete(logger), set(ROOT, other)));
            Main.expect("inherited level", levels().get(logger), other);
        } finally {
            get(alter(false, delete(logger), set(ROOT, root)));
        }
        Main.expect("inherited level", levels().get(logger), root);
    }

    private void loggersRefused() throws Exception {
        String logger = logger();
        Map<String, String> before = levels();
        Class<?> config = InvalidConfigurationException.class;
        Class<?> request = InvalidRequestException.class;
        refused(alter(false, set(logger, "TRACE"), set("no.such", "INFO")), config, "Logger no.such does not exist!", "");
        refused(alter(false, delete("no.such")), config, "Logger no.such does not exist!", "");
        refused(alter(false, set(logger, "trace")), config,
                "Cannot set the log level of " + logger + " to trace as it is not a supported log level. ",
                "Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN");
        refused(alter(false, delete(ROOT)), request, "Removing the log level of the root logger is not allowed", "");
        refused(alter(false, set(logger, "INFO"), set(logger, "WARN")), request, "Error due to duplicate config keys", "");
        refused(alter(false, new AlterConfigOp(new ConfigEntry(logger, "INFO"), AlterConfigOp.OpType.APPEND)), request,
                "APPEND operation is not allowed for the BROKER_LOGGER resource", "");
        Main.expect("levels", levels(), before);
    }
}
