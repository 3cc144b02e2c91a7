//! A netlink socket for requests and their answers.

use std::io;
use std::os::fd::AsRawFd;

use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket as RawSocket, SocketAddr};

use super::message::{Attributes, Message, messages};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLM_F_CAPPED: u16 = 0x100;
const NLMSGERR_ATTR_MSG: u16 = 1;
/// Room for one batch. A batch is one datagram: 64 MiB hold about half a million map elements.
const SEND_BUFFER_BYTES: libc::c_int = 64 << 20;
/// Room for the answers to one batch.
const RECEIVE_BUFFER_BYTES: libc::c_int = 8 << 20;
/// The kernel fills dumps in pieces of at most 32 KiB.
const DATAGRAM_BYTES: usize = 64 << 10;

/// A request that the kernel refused, or that did not reach it.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    #[error("netlink: {0}")]
    Io(#[from] io::Error),
    #[error("the kernel refused message {sequence}: {source}{}", detail.as_ref().map(|d| format!(" ({d})")).unwrap_or_default())]
    Refused { sequence: u32, source: io::Error, detail: Option<String> },
    #[error("the kernel gave no answer")]
    NoAnswer,
}

impl RequestError {
    /// The error number of a refusal.
    pub fn errno(&self) -> Option<i32> {
        match self {
            RequestError::Io(e) | RequestError::Refused { source: e, .. } => e.raw_os_error(),
            RequestError::NoAnswer => None,
        }
    }
}

/// A netfilter socket of the network namespace in which it was opened, whatever thread uses it.
pub struct Socket {
    raw: RawSocket,
}

impl Socket {
    pub fn open() -> io::Result<Self> {
        let mut raw = RawSocket::new(NETLINK_NETFILTER)?;
        raw.bind_auto()?;
        raw.connect(&SocketAddr::new(0, 0))?;
        raw.set_ext_ack(true)?;
        raw.set_cap_ack(true)?;
        set_buffer(&raw, libc::SO_SNDBUFFORCE, SEND_BUFFER_BYTES)?;
        set_buffer(&raw, libc::SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)?;
        Ok(Self { raw })
    }

    /// Sends requests whose answers are acknowledgements only. At least one of them must ask for one
    /// (`NLM_F_ACK`). The first refusal is the result.
    pub fn transact(&self, requests: &Message) -> Result<(), RequestError> {
        self.send(requests)?;
        let mut buffer = Vec::with_capacity(DATAGRAM_BYTES);
        let mut answered = false;
        let mut refused = None;
        loop {
            buffer.clear();
            match self.raw.recv(&mut buffer, libc::MSG_DONTWAIT) {
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e.into()),
            }
            for (header, body) in messages(&buffer).filter(|(h, _)| h.kind == NLMSG_ERROR) {
                answered = true;
                if let (None, Err(e)) = (&refused, acknowledgement(header.flags, body)) {
                    refused = Some(e);
                }
            }
        }
        match refused {
            Some(refusal) => Err(refusal),
            None if answered => Ok(()),
            None => Err(RequestError::NoAnswer),
        }
    }

    /// Sends a dump request; gives the body of each message of the answer to `each`.
    pub fn dump(&self, request: &Message, mut each: impl FnMut(&[u8])) -> Result<(), RequestError> {
        self.send(request)?;
        let mut buffer = Vec::with_capacity(DATAGRAM_BYTES);
        loop {
            buffer.clear();
            match self.raw.recv(&mut buffer, 0) {
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e.into()),
            }
            for (header, body) in messages(&buffer) {
                match header.kind {
                    NLMSG_DONE => return Ok(()),
                    NLMSG_ERROR => return acknowledgement(header.flags, body),
                    _ => each(body),
                }
            }
        }
    }

    fn send(&self, requests: &Message) -> io::Result<()> {
        let sent = self.raw.send(requests.as_bytes(), 0)?;
        debug_assert_eq!(sent, requests.len());
        Ok(())
    }
}

/// Reads `struct nlmsgerr`: an error number (0 is an acknowledgement), the header of the request, and with
/// extended acknowledgements attributes with a text.
fn acknowledgement(flags: u16, body: &[u8]) -> Result<(), RequestError> {
    let number = |at: usize| body.get(at..at + 4).and_then(|b| b.try_into().ok()).map(i32::from_ne_bytes);
    let (Some(errno), Some(sequence)) = (number(0), number(12)) else {
        return Err(RequestError::NoAnswer);
    };
    if errno == 0 {
        return Ok(());
    }
    let detail = (flags & NLM_F_ACK_TLVS != 0).then(|| {
        let request_len =
            if flags & NLM_F_CAPPED != 0 { 16 } else { number(4).unwrap_or(16).max(16) as usize };
        let attributes = body.get(4 + request_len.next_multiple_of(4)..).unwrap_or_default();
        let text = Attributes(attributes).find(NLMSGERR_ATTR_MSG)?;
        Some(String::from_utf8_lossy(text).trim_end_matches('\0').to_owned())
    });
    Err(RequestError::Refused {
        sequence: sequence as u32,
        source: io::Error::from_raw_os_error(-errno),
        detail: detail.flatten(),
    })
}

fn set_buffer(socket: &RawSocket, option: libc::c_int, bytes: libc::c_int) -> io::Result<()> {
    // SAFETY: the descriptor is open, and the value outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw const bytes).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_which_message_and_why() {
        let mut body = Vec::new();
        body.extend_from_slice(&(-17i32).to_ne_bytes());
        body.extend_from_slice(&20u32.to_ne_bytes());
        body.extend_from_slice(&[0, 10, 5, 4]);
        body.extend_from_slice(&42u32.to_ne_bytes());
        body.extend_from_slice(&[0; 4]);
        let mut attributes = Message::default();
        attributes.string(NLMSGERR_ATTR_MSG, "there already");
        body.extend_from_slice(attributes.as_bytes());
        let error = acknowledgement(NLM_F_ACK_TLVS | NLM_F_CAPPED, &body).unwrap_err();
        assert_eq!(error.errno(), Some(libc::EEXIST));
        assert!(error.to_string().contains("message 42"), "{error}");
        assert!(error.to_string().contains("there already"), "{error}");
    }

    #[test]
    fn zero_is_an_acknowledgement() {
        assert!(acknowledgement(0, &[0; 20]).is_ok());
        assert!(acknowledgement(0, &[0; 3]).is_err());
    }
}
