//! Properties files and environment variables.

use chronik_config::{Environment, Place, PropertiesError, from_env, parse_properties, variable_of};

fn pairs(text: &str) -> Vec<(String, String)> {
    let entries = parse_properties(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    entries.into_iter().map(|entry| (entry.key, entry.value)).collect()
}

fn check(text: &str, expect: &[(&str, &str)]) {
    let expect: Vec<(String, String)> = expect.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    assert_eq!(pairs(text), expect, "{text:?}");
}

#[test]
fn properties_are_read_as_java_reads_them() {
    check("", &[]);
    check("a=b", &[("a", "b")]);
    check("a = b\nc: d\r\ne f\rg", &[("a", "b"), ("c", "d"), ("e", "f"), ("g", "")]);
    check("# x\n  ! y\n\n \t\na=1", &[("a", "1")]);
    check("a=b=c:d", &[("a", "b=c:d")]);
    check("a==b", &[("a", "=b")]);
    check("a = = b", &[("a", "= b")]);
    check("a\t\u{c}b", &[("a", "b")]);
    check("a=b  ", &[("a", "b  ")]);
    check("a\\=b\\:c\\ d=e", &[("a=b:c d", "e")]);
    check("a=1,\\\n   2,\\\r\n\t3", &[("a", "1,2,3")]);
    check("a=1\\\\\nb=2", &[("a", "1\\"), ("b", "2")]);
    check("# comment \\\na=1", &[("a", "1")]);
    check("a=x\\\n# not a comment", &[("a", "x# not a comment")]);
    check("a=\\t\\n\\r\\f\\q\\\\", &[("a", "\t\n\r\u{c}q\\")]);
    check("a=\\u00e4\\u20AC\\uD83D\\uDE00", &[("a", "ä€😀")]);
    check("\u{feff}a=1", &[("a", "1")]);
    check("a=1\\", &[("a", "1")]);
    check("\\\n\\\na=1", &[("a", "1")]);
    check("\\", &[]);
    check("a=ä", &[("a", "ä")]);
}

#[test]
fn lines_are_counted_from_one_and_name_the_first_of_a_continued_one() {
    let entries = parse_properties("# x\r\na=1\\\n2\n\nb=3").expect("well formed");
    let lines: Vec<Place> = entries.into_iter().map(|entry| entry.place).collect();
    assert_eq!(lines, [Place::Line(2), Place::Line(5)]);
}

#[test]
fn malformed_properties_name_their_line() {
    for bad in
        ["\\u", "\\u12", "\\u12g4", "\\u+123", "\\uD83D", "\\uD83Dx", "\\uD83D\\u0041", "\\uDE00", "\\u00\u{e4}4"]
    {
        let text = format!("\na={bad}");
        assert_eq!(parse_properties(&text), Err(PropertiesError::BadUnicodeEscape { line: 2 }), "{bad}");
    }
    assert_eq!(parse_properties("a=1\n=b"), Err(PropertiesError::EmptyKey { line: 2 }));
    assert_eq!(parse_properties(" : b"), Err(PropertiesError::EmptyKey { line: 1 }));
}

/// Every text over a small hostile alphabet: an answer, no panic, and no more text than went in.
#[test]
fn no_short_text_panics() {
    let alphabet = ['\\', 'u', 'D', '8', '\n', '\r', '=', ' ', '#', 'ä', '\0'];
    let mut texts = vec![String::new()];
    for _ in 0..5 {
        texts = texts.iter().flat_map(|text| alphabet.iter().map(move |c| format!("{text}{c}"))).collect();
        for text in &texts {
            let Ok(entries) = parse_properties(text) else { continue };
            let size: usize = entries.iter().map(|entry| entry.key.len() + entry.value.len()).sum();
            assert!(size <= text.len(), "{text:?}");
        }
    }
    assert_eq!(texts.len(), 11usize.pow(5));
}

#[test]
fn large_texts_are_read_in_one_pass() {
    let slashes = "\\".repeat(1_000_001);
    assert_eq!(pairs(&format!("a={slashes}"))[0].1.len(), 500_000);
    let continued = "x\\\n".repeat(200_000);
    assert_eq!(pairs(&format!("a={continued}"))[0].1.len(), 200_000);
}

fn environment(variables: &[(&str, &str)]) -> Environment {
    let forwards = from_env(variables.iter().map(|(k, v)| (k.to_string(), v.to_string())));
    let backwards = from_env(variables.iter().rev().map(|(k, v)| (k.to_string(), v.to_string())));
    assert_eq!(forwards, backwards, "the order of the variables matters");
    forwards
}

fn keys(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    environment(variables).layer.entries.into_iter().map(|entry| (entry.key, entry.value)).collect()
}

#[test]
fn variables_are_mapped_by_the_images_rule() {
    for (variable, key) in [
        ("KAFKA_LOG_DIRS", "log.dirs"),
        ("KAFKA_CFG_LOG_DIRS", "log.dirs"),
        ("CHRONIK_LOG_DIRS", "log.dirs"),
        ("CHRONIK_HTTP_LISTENER", "http.listener"),
        ("KAFKA_A__B", "a_b"),
        ("KAFKA_A___B", "a-b"),
        (
            "KAFKA_LISTENER_NAME_SASL__SSL_SCRAM___SHA___256_SASL_JAAS_CONFIG",
            "listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config",
        ),
        ("KAFKA_SASL_KERBEROS_SERVICE_NAME", "sasl.kerberos.service.name"),
    ] {
        assert_eq!(keys(&[(variable, "x")]), [(key.to_owned(), "x".to_owned())], "{variable}");
        if variable.starts_with("KAFKA_") && !variable.starts_with("KAFKA_CFG_") {
            assert_eq!(variable_of(key), variable);
        }
    }
}

#[test]
fn of_two_variables_the_later_prefix_comes_last() {
    let entries = keys(&[("CHRONIK_LOG_DIRS", "c"), ("KAFKA_LOG_DIRS", "a"), ("KAFKA_CFG_LOG_DIRS", "b")]);
    let values: Vec<&str> = entries.iter().map(|(_, value)| value.as_str()).collect();
    assert_eq!(values, ["a", "b", "c"]);
}

#[test]
fn variables_for_launchers_and_of_kubernetes_are_left_out() {
    let none = keys(&[
        ("PATH", "/bin"),
        ("KAFKA_", "x"),
        ("KAFKA_HEAP_OPTS", "-Xmx1G"),
        ("KAFKA_OPTS", ""),
        ("KAFKA_JVM_PERFORMANCE_OPTS", ""),
        ("KAFKA_LOG4J_LOGGERS", "a=b"),
        ("KAFKA_JMX_PORT", "9999"),
        ("KAFKA_SERVICE_HOST", "10.0.0.1"),
        ("KAFKA_SERVICE_PORT", "9092"),
        ("KAFKA_SERVICE_PORT_CLIENT", "9092"),
        ("KAFKA_PORT", "tcp://10.0.0.1:9092"),
        ("KAFKA_PORT_9092_TCP", "tcp://10.0.0.1:9092"),
        ("KAFKA_PORT_9092_TCP_ADDR", "10.0.0.1"),
        ("KAFKA_HEADLESS_SERVICE_HOST", "10.0.0.1"),
        ("CHRONIK_SERVICE_HOST", "10.0.0.1"),
        ("CHRONIK_PORT_9092_TCP_PROTO", "tcp"),
    ]);
    assert_eq!(none, []);
}

#[test]
fn cluster_id_and_topics_to_create_are_handed_out_apart() {
    let found = environment(&[
        ("KAFKA_KRAFT_CLUSTER_ID", "old"),
        ("CLUSTER_ID", "new"),
        ("KAFKA_CREATE_TOPICS", "a:3:1,b:1:1:compact"),
    ]);
    assert_eq!(found.cluster_id.as_deref(), Some("new"));
    assert_eq!(found.create_topics.as_deref(), Some("a:3:1,b:1:1:compact"));
    assert_eq!(found.layer.entries, []);
    assert_eq!(environment(&[("CLUSTER_ID", " ")]).cluster_id, None);
}
