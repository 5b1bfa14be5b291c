//! A port that nobody else takes before the program under test listens on it.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::TcpSocket;

/// A port of loopback on which nobody listens, and which the system gives to nobody.
pub(crate) struct Port {
    number: u16,
    _held: Vec<TcpSocket>,
}

impl Port {
    pub(crate) fn reserve() -> Self {
        loop {
            let ipv4 = TcpSocket::new_v4().and_then(|it| bound(it, (Ipv4Addr::LOCALHOST, 0)));
            let ipv4 = ipv4.expect("a port");
            let number = ipv4.local_addr().expect("an address").port();
            let ipv6 = TcpSocket::new_v6().and_then(|it| bound(it, (Ipv6Addr::LOCALHOST, number)));
            let mut held = vec![ipv4];
            match ipv6 {
                Ok(ipv6) => held.push(ipv6),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => continue,
                Err(_) => {}
            }
            // Elsewhere a bound socket keeps others from listening, too.
            if !cfg!(target_os = "linux") {
                held.clear();
            }
            return Self {
                number,
                _held: held,
            };
        }
    }

    /// A redirect URI that leads here.
    pub(crate) fn redirect_uri(&self) -> String {
        format!("http://localhost:{}/callback", self.number)
    }
}

fn bound(socket: TcpSocket, address: impl Into<SocketAddr>) -> io::Result<TcpSocket> {
    socket.set_reuseaddr(true)?;
    socket.bind(address.into())?;
    Ok(socket)
}
