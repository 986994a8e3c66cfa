//! A GitLab for tests: a server of a few lines, which says what it is told to say.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// A server that answers every request with what it is told to, and remembers what it was asked.
pub struct GitLab {
    pub url: String,
    pub requests: Arc<Mutex<Vec<String>>>,
}

/// What a server does with one connection.
type Behaviour = dyn Fn(usize, &str, &mut dyn ReadWrite) + Send + Sync;

pub trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

impl GitLab {
    pub fn answering(answer: Value) -> Self {
        Self::new(move |_, stream| respond(stream, "200 OK", "", answer.to_string().as_bytes()))
    }

    /// Its answer depends on the request.
    #[allow(dead_code)] // for benchmarks
    pub fn by_request(answer: impl Fn(&str) -> Value + Send + Sync + 'static) -> Self {
        Self::serve(move |_, request, stream| respond(stream, "200 OK", "", answer(request).to_string().as_bytes()))
    }

    pub fn new(behaviour: impl Fn(usize, &mut dyn ReadWrite) + Send + Sync + 'static) -> Self {
        Self::serve(move |number, _, stream| behaviour(number, stream))
    }

    fn serve(behaviour: impl Fn(usize, &str, &mut dyn ReadWrite) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, behaviour): (_, Arc<Behaviour>) = (Arc::clone(&requests), Arc::new(behaviour));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, behaviour) = (Arc::clone(&seen), Arc::clone(&behaviour));
                std::thread::spawn(move || {
                    let mut stream: TcpStream = stream;
                    let request = read_request(&mut stream);
                    let number = {
                        let mut seen = seen.lock().expect("requests");
                        seen.push(request.clone());
                        seen.len()
                    };
                    behaviour(number, &request, &mut stream);
                });
            }
        });
        Self { url, requests }
    }

    /// The address of one that is down. Nobody else gets its port while it is held: a connection comes from there.
    pub fn down() -> (String, [Box<dyn std::any::Any>; 2]) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let stream = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        let url = format!("http://{}", stream.local_addr().expect("an address"));
        (url, [Box::new(listener), Box::new(stream)])
    }

    pub fn count(&self) -> usize {
        self.requests.lock().expect("requests").len()
    }
}

fn read_request(stream: &mut impl Read) -> String {
    let mut request = String::new();
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
            return request;
        }
        request.push_str(&line);
    }
}

pub fn respond(stream: &mut dyn ReadWrite, status: &str, headers: &str, body: &[u8]) {
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n",
        body.len()
    );
    let _ = stream.write_all(body);
}

/// GitLab's answer about job 101 of a user.
pub fn answer_about(login: &str) -> Value {
    json!({"id": 101, "status": "running", "user": {"id": 42, "username": login}, "pipeline": {"id": 55, "project_id": 7, "source": "push"}})
}
