//! Random values, drawn from one seed, so that the world stays free of I/O.

use sha2::{Digest, Sha256};

const ALPHANUMERIC: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A source of unpredictable values: SHA-256 over a seed and a counter.
pub(crate) struct Entropy {
    seed: [u8; 32],
    drawn: u64,
}

impl Entropy {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self { seed, drawn: 0 }
    }

    fn block(&mut self) -> [u8; 32] {
        self.drawn += 1;
        Sha256::new()
            .chain_update(self.seed)
            .chain_update(self.drawn.to_be_bytes())
            .finalize()
            .into()
    }

    /// A string of letters and digits.
    pub(crate) fn alphanumeric(&mut self, length: usize) -> String {
        let mut text = String::with_capacity(length + 32);
        while text.len() < length {
            text.extend(
                self.block()
                    .map(|byte| char::from(ALPHANUMERIC[usize::from(byte) % ALPHANUMERIC.len()])),
            );
        }
        text.truncate(length);
        text
    }

    /// 64 lower-case hexadecimal digits.
    pub(crate) fn hex(&mut self) -> String {
        hex(&self.block())
    }

    /// Decimal digits, the first not zero.
    pub(crate) fn digits(&mut self, length: usize) -> String {
        let block = self.block();
        (0..length)
            .map(|place| {
                let digit = block[place % block.len()];
                char::from(if place == 0 {
                    b'1' + digit % 9
                } else {
                    b'0' + digit % 10
                })
            })
            .collect()
    }

    /// A random UUID (RFC 9562, version 4).
    pub(crate) fn uuid(&mut self) -> String {
        uuid(&self.block())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 0xf])
        .map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]))
        .collect()
}

/// The UUID (RFC 9562, version 4) made of the first bytes of at least 16.
pub(crate) fn uuid(bytes: &[u8]) -> String {
    let mut hex = hex(&bytes[..16]);
    hex.replace_range(12..13, "4");
    hex.replace_range(16..17, "a");
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}
