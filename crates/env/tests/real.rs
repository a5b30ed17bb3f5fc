//! Threads and sockets of the binary.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use chronik_env::Env;
use chronik_env::net::{ListenOptions, Stream};
use chronik_env::real::{self, Options, RealTasks};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// No answer within this time is a failure.
const DEADLINE: Duration = Duration::from_secs(20);

fn start() -> (Env, Arc<RealTasks>) {
    real::env(&Options { workers: 2, blocking_threads: 2, sync_threads: 1 }).unwrap()
}

fn thread_name() -> String {
    thread::current().name().unwrap_or_default().to_owned()
}

#[test]
fn work_runs_where_it_was_sent() {
    let (env, tasks) = start();
    assert_eq!(env.tasks.workers(), 2);
    let (sender, receiver) = mpsc::channel();
    let run = |name: &'static str| {
        let sender = sender.clone();
        Box::pin(async move { sender.send((name, thread_name())).unwrap() })
    };
    env.tasks.spawn_on(0, run("worker-0"));
    env.tasks.spawn_on(1, run("worker-1"));
    env.tasks.spawn_on(5, run("worker-1"));
    env.tasks.spawn_control(run("control"));
    for _ in 0..4 {
        let (expected, found) = receiver.recv_timeout(DEADLINE).unwrap();
        assert_eq!(expected, found);
    }
    env.tasks.run_blocking(Box::new(move || sender.send(("blocking", thread_name())).unwrap()));
    assert!(receiver.recv_timeout(DEADLINE).unwrap().1.starts_with("blocking-"));
    assert_eq!(tasks.run(async { thread_name() }), Some("control".to_owned()));
    tasks.shutdown();
}

#[test]
fn long_jobs_do_not_delay_syncs() {
    let (env, tasks) = start();
    let gate = Arc::new(Mutex::new(()));
    let (sender, receiver) = mpsc::channel();
    let shut = gate.lock().unwrap();
    for _ in 0..10 {
        let gate = Arc::clone(&gate);
        env.tasks.run_blocking(Box::new(move || drop(gate.lock())));
    }
    env.tasks.run_sync(Box::new(move || sender.send(thread_name()).unwrap()));
    assert_eq!(receiver.recv_timeout(DEADLINE).as_deref(), Ok("sync-0"));
    drop(shut);
    tasks.shutdown();
}

#[test]
fn a_panic_ends_its_task_alone() {
    let (env, tasks) = start();
    for _ in 0..4 {
        env.tasks.run_blocking(Box::new(|| panic!("wanted by the test")));
        env.tasks.spawn_control(Box::pin(async { panic!("wanted by the test") }));
    }
    assert_eq!(tasks.run(async { panic!("wanted by the test") }), None::<()>);
    let (sender, receiver) = mpsc::channel();
    env.tasks.run_blocking(Box::new(move || sender.send(7).unwrap()));
    assert_eq!(receiver.recv_timeout(DEADLINE), Ok(7));
    assert_eq!(tasks.run(async { 8 }), Some(8));
    tasks.shutdown();
}

#[test]
fn shutdown_finishes_jobs_drops_futures_and_refuses_more() {
    let (env, tasks) = start();
    let done = Arc::new(Mutex::new(Vec::new()));
    let (started, is_started) = mpsc::channel();
    let held = Arc::clone(&done);
    env.tasks.spawn_on(
        0,
        Box::pin(async move {
            started.send(()).unwrap();
            std::future::pending::<()>().await;
            held.lock().unwrap().push(1000);
        }),
    );
    is_started.recv_timeout(DEADLINE).unwrap();
    for n in 0..100 {
        let done = Arc::clone(&done);
        env.tasks.run_blocking(Box::new(move || done.lock().unwrap().push(n)));
    }
    tasks.shutdown();
    let mut found = done.lock().unwrap().clone();
    found.sort_unstable();
    assert_eq!(found, (0..100).collect::<Vec<_>>());
    assert_eq!(Arc::strong_count(&done), 1, "the waiting future was dropped");

    let late = Arc::clone(&done);
    env.tasks.run_blocking(Box::new(move || late.lock().unwrap().push(2000)));
    let late = Arc::clone(&done);
    env.tasks.spawn_on(0, Box::pin(async move { late.lock().unwrap().push(3000) }));
    assert_eq!(tasks.run(async {}), None);
    assert_eq!(Arc::strong_count(&done), 1, "dropped, not kept");
    tasks.shutdown();
}

#[test]
fn a_connection_moves_to_another_runtime() {
    let (env, tasks) = start();
    let world = env.clone();
    let echoed = tasks.run(async move {
        let mut listener = world.net.bind("127.0.0.1:0".parse().unwrap(), ListenOptions::default()).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (mut client, incoming) = tokio::join!(world.net.connect(addr), listener.accept());
        let client: &mut Box<dyn Stream> = client.as_mut().unwrap();
        let incoming = incoming.unwrap();
        assert_eq!(incoming.local(), addr);
        assert_ne!(incoming.peer(), addr);
        world.tasks.spawn_on(
            1,
            Box::pin(async move {
                let mut stream = incoming.into_stream().unwrap();
                let mut buf = [0; 5];
                stream.read_exact(&mut buf).await.unwrap();
                stream.write_all(thread_name().as_bytes()).await.unwrap();
            }),
        );
        client.write_all(b"hello").await.unwrap();
        let mut answer = String::new();
        tokio::time::timeout(DEADLINE, client.read_to_string(&mut answer)).await.unwrap().unwrap();
        // The port of a listener that had connections is free at once.
        drop(listener);
        world.net.bind(addr, ListenOptions::default()).await.unwrap();
        answer
    });
    assert_eq!(echoed.as_deref(), Some("worker-1"));
    tasks.shutdown();
}

/// What a stream takes while the other side reads nothing.
async fn taken(stream: &mut Box<dyn Stream>) -> usize {
    let mut taken = 0;
    while let Ok(written) = tokio::time::timeout(Duration::from_millis(200), stream.write(&[0; 1 << 16])).await {
        taken += written.unwrap();
    }
    taken
}

#[test]
fn a_listener_sets_the_buffers_of_its_connections() {
    let (env, tasks) = start();
    let sent_and_received = |options| {
        let world = env.clone();
        let both = tasks.run(async move {
            let mut listener = world.net.bind("127.0.0.1:0".parse().unwrap(), options).await.unwrap();
            let addr = listener.local_addr().unwrap();
            let (client, incoming) = tokio::join!(world.net.connect(addr), listener.accept());
            let (mut client, mut stream) = (client.unwrap(), incoming.unwrap().into_stream().unwrap());
            (taken(&mut stream).await, taken(&mut client).await)
        });
        both.unwrap()
    };
    let of = |send, receive| ListenOptions { send_buffer_bytes: send, receive_buffer_bytes: receive, backlog: None };
    let (small, large) = (Some(1 << 13), Some(1 << 20));
    let ((sent_small, _), (sent_large, _)) = (sent_and_received(of(small, None)), sent_and_received(of(large, None)));
    assert!(sent_small + (1 << 17) < sent_large, "{sent_small} and {sent_large} bytes");
    let ((_, small), (_, large)) = (sent_and_received(of(None, small)), sent_and_received(of(None, large)));
    assert!(small + (1 << 17) < large, "{small} and {large} bytes");
    tasks.shutdown();
}

#[test]
fn a_listener_holds_as_many_connections_as_its_backlog() {
    const TRIED: usize = 10;
    let (env, tasks) = start();
    let held = |backlog| {
        let world = env.clone();
        let held = tasks.run(async move {
            let options = ListenOptions { backlog, ..ListenOptions::default() };
            let listener = world.net.bind("127.0.0.1:0".parse().unwrap(), options).await.unwrap();
            let mut held = Vec::new();
            for _ in 0..TRIED {
                let connection = world.net.connect(listener.local_addr().unwrap());
                if let Ok(connection) = tokio::time::timeout(Duration::from_millis(200), connection).await {
                    held.push(connection.unwrap());
                }
            }
            held.len()
        });
        held.unwrap()
    };
    assert!(held(Some(1)) < TRIED / 2);
    assert_eq!(held(None), TRIED);
    tasks.shutdown();
}

#[test]
fn a_taken_port_is_told() {
    let (env, tasks) = start();
    let world = env.clone();
    let error = tasks.run(async move {
        let listener = world.net.bind("127.0.0.1:0".parse().unwrap(), ListenOptions::default()).await.unwrap();
        world.net.bind(listener.local_addr().unwrap(), ListenOptions::default()).await.err().map(|e| e.kind())
    });
    assert_eq!(error, Some(Some(std::io::ErrorKind::AddrInUse)));
    tasks.shutdown();
}

#[test]
fn clocks_run_forward() {
    let (env, tasks) = start();
    let (wall, monotonic) = (env.clock.wall_ms(), env.clock.monotonic_ms());
    assert!(wall > 1_700_000_000_000, "after 2023: {wall}");
    let slept = tasks.run(async { tokio::time::sleep(Duration::from_millis(5)).await });
    assert_eq!(slept, Some(()));
    assert!(env.clock.monotonic_ms() >= monotonic + 4);
    tasks.shutdown();
}
