//! Writes and reads at a steady rate on every shard, a task each, and prints a line of JSON for each operation.
mod cluster;

use std::env::var;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::AsyncCommands;
use tokio::io::AsyncReadExt;

#[tokio::main]
async fn main() {
    let connection = if var("APP_DEFAULTS").is_ok() { plain().await } else { cluster::connect().await };
    let connection = connection.expect("a connection");
    for (shard, tag) in var("APP_TAGS").unwrap().split(',').enumerate() {
        let prefix = format!("{}:{{{tag}}}", var("APP_PREFIX").unwrap());
        tokio::spawn(write(connection.clone(), shard, prefix));
    }
    tokio::io::stdin().read_to_end(&mut Vec::new()).await.unwrap();
    std::process::exit(0);
}

/// Seeds and password, and nothing else.
async fn plain() -> redis::RedisResult<ClusterConnection> {
    let seeds = var("APP_SEEDS").unwrap();
    ClusterClientBuilder::new(seeds.split(',').map(|seed| format!("redis://{seed}")))
        .password(var("REDIS_PASSWORD").unwrap())
        .build()?
        .get_async_connection()
        .await
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

async fn write(mut connection: ClusterConnection, shard: usize, prefix: String) {
    let period = Duration::from_millis(var("APP_PERIOD_MS").unwrap().parse().unwrap());
    for number in 0u64.. {
        let started = Instant::now();
        let key = format!("{prefix}:{number}");
        let mut acknowledged = 0.0;
        let mut found = connection.set::<_, _, ()>(&key, number).await.map(|()| number);
        if found.is_ok() {
            acknowledged = now();
            found = connection.get::<_, u64>(&key).await;
        }
        let problem = match found {
            Ok(found) if found == number => String::new(),
            Ok(found) => format!("read back {found}"),
            Err(error) => error.to_string().replace(['"', '\\', '\n'], " "),
        };
        println!(
            "{{\"t\":{:.3},\"shard\":{shard},\"n\":{number},\"ack\":{acknowledged:.3},\"error\":\"{problem}\"}}",
            now()
        );
        tokio::time::sleep(period.saturating_sub(started.elapsed())).await;
    }
}
