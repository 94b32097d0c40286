//! Web3 Secret Storage, version 3: the JSON document, sealed and opened.
//!
//! Pure apart from the salt, which the caller gives. A hostile document is refused before it
//! costs memory or time: see the limits below.

use aes::Aes128;
use alloy_primitives::keccak256;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use pbkdf2::pbkdf2_hmac;
use pbkdf2::sha2::Sha256;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::Password;

/// log2 of scrypt's work factor in new files.
pub const SCRYPT_LOG_N: u8 = 18;
/// scrypt's block size in new files.
pub const SCRYPT_R: u32 = 8;
/// scrypt's parallelism in new files.
pub const SCRYPT_P: u32 = 1;
/// The most memory a document may ask of scrypt, in bytes.
pub const SCRYPT_BYTES_MAX: u64 = 1 << 30;
/// The most parallel passes a document may ask of scrypt.
pub const SCRYPT_P_MAX: u32 = 16;
/// The most rounds a document may ask of PBKDF2.
pub const PBKDF2_ROUNDS_MAX: u32 = 10_000_000;
/// The longest sealed secret, in bytes.
pub const CIPHERTEXT_BYTES_MAX: usize = 8 << 10;

const DERIVED_KEY_LEN: usize = 32;
const IV_LEN: usize = 16;

type Cipher = Ctr128BE<Aes128>;

/// Why a document could not be opened.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum OpenError {
    /// Wrong password, or a changed file: the two cannot be told apart.
    #[error("wrong password, or the keystore was changed")]
    WrongPassword,
    /// Another version of the format.
    #[error("keystore version {0} is not supported, only 3 is")]
    Version(u32),
    /// Another cipher than AES-128-CTR.
    #[error("keystore cipher `{0}` is not supported, only aes-128-ctr is")]
    UnknownCipher(String),
    /// Another PBKDF2 hash than HMAC-SHA256.
    #[error("keystore prf `{0}` is not supported, only hmac-sha256 is")]
    UnknownPrf(String),
    /// A field has a length or value outside its limits.
    #[error("keystore field `{0}` is out of bounds")]
    OutOfBounds(&'static str),
}

/// The whole document.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Document {
    /// The account, hex without `0x`. Optional in the definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The sealed secret. Some old writers spell it with a capital letter.
    #[serde(alias = "Crypto")]
    pub crypto: Crypto,
    /// A random UUID.
    pub id: String,
    /// Always 3.
    pub version: u32,
}

/// The sealed secret and how to open it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Crypto {
    /// `aes-128-ctr`.
    pub cipher: String,
    /// The cipher's initial counter.
    pub cipherparams: CipherParams,
    /// The sealed secret.
    pub ciphertext: Hex,
    /// How the password becomes a key.
    #[serde(flatten)]
    pub kdf: Kdf,
    /// Keccak-256 over the second half of the derived key and the ciphertext.
    pub mac: Hex,
}

/// The cipher's parameters.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CipherParams {
    /// Initial counter, 16 bytes.
    pub iv: Hex,
}

/// The key derivation function with its parameters.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kdf", content = "kdfparams", rename_all = "lowercase")]
pub enum Kdf {
    /// scrypt.
    Scrypt {
        /// Bytes to derive; always 32.
        dklen: u32,
        /// Work factor, a power of two.
        n: u64,
        /// Parallelism.
        p: u32,
        /// Block size.
        r: u32,
        /// Salt.
        salt: Hex,
    },
    /// PBKDF2 with HMAC-SHA256.
    Pbkdf2 {
        /// Rounds.
        c: u32,
        /// Bytes to derive; always 32.
        dklen: u32,
        /// `hmac-sha256`.
        prf: String,
        /// Salt.
        salt: Hex,
    },
}

/// Bytes that are hex text without `0x` in JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hex(pub Vec<u8>);

impl Serialize for Hex {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&alloy_primitives::hex::encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        alloy_primitives::hex::decode(text)
            .map(Hex)
            .map_err(serde::de::Error::custom)
    }
}

/// The 64 random bytes that a sealing consumes: salt, initial counter, UUID.
pub type Entropy = [u8; 64];

/// Seals `secret` for `address` (hex without `0x`) under `password`, with this crate's parameters.
pub fn seal(secret: &[u8], address: String, password: &Password, entropy: &Entropy) -> Document {
    seal_with(secret, address, password, entropy, SCRYPT_LOG_N)
}

pub(crate) fn seal_with(
    secret: &[u8],
    address: String,
    password: &Password,
    entropy: &Entropy,
    log_n: u8,
) -> Document {
    let (salt, rest) = entropy.split_at(32);
    let (iv, rest) = rest.split_at(IV_LEN);
    let kdf = Kdf::Scrypt {
        dklen: DERIVED_KEY_LEN as u32,
        n: 1 << log_n,
        p: SCRYPT_P,
        r: SCRYPT_R,
        salt: Hex(salt.to_vec()),
    };
    let key = derive(&kdf, password).expect("our own parameters are within our limits");
    let mut ciphertext = secret.to_vec();
    apply_cipher(&key, iv, &mut ciphertext);
    Document {
        address: Some(address),
        crypto: Crypto {
            cipher: "aes-128-ctr".to_owned(),
            cipherparams: CipherParams {
                iv: Hex(iv.to_vec()),
            },
            mac: Hex(mac(&key, &ciphertext).to_vec()),
            ciphertext: Hex(ciphertext),
            kdf,
        },
        id: uuid_v4(rest),
        version: 3,
    }
}

/// Opens `document` with `password` and gives the secret's bytes.
pub fn open(document: &Document, password: &Password) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let crypto = &document.crypto;
    if document.version != 3 {
        return Err(OpenError::Version(document.version));
    }
    if crypto.cipher != "aes-128-ctr" {
        return Err(OpenError::UnknownCipher(crypto.cipher.clone()));
    }
    if crypto.cipherparams.iv.0.len() != IV_LEN {
        return Err(OpenError::OutOfBounds("iv"));
    }
    if crypto.ciphertext.0.len() > CIPHERTEXT_BYTES_MAX {
        return Err(OpenError::OutOfBounds("ciphertext"));
    }
    let key = derive(&crypto.kdf, password)?;
    if !bool::from(mac(&key, &crypto.ciphertext.0).ct_eq(crypto.mac.0.as_slice())) {
        return Err(OpenError::WrongPassword);
    }
    let mut secret = Zeroizing::new(crypto.ciphertext.0.clone());
    apply_cipher(&key, &crypto.cipherparams.iv.0, &mut secret);
    Ok(secret)
}

type DerivedKey = Zeroizing<[u8; DERIVED_KEY_LEN]>;

fn derive(kdf: &Kdf, password: &Password) -> Result<DerivedKey, OpenError> {
    let mut key = DerivedKey::default();
    let password = password.reveal().as_bytes();
    match kdf {
        Kdf::Scrypt {
            dklen,
            n,
            p,
            r,
            salt,
        } => {
            check_dklen(*dklen)?;
            let params = scrypt_params(*n, *r, *p)?;
            scrypt::scrypt(password, &salt.0, &params, key.as_mut_slice())
                .map_err(|_| OpenError::OutOfBounds("dklen"))?;
        }
        Kdf::Pbkdf2 {
            c,
            dklen,
            prf,
            salt,
        } => {
            check_dklen(*dklen)?;
            if prf != "hmac-sha256" {
                return Err(OpenError::UnknownPrf(prf.clone()));
            }
            if !(1..=PBKDF2_ROUNDS_MAX).contains(c) {
                return Err(OpenError::OutOfBounds("c"));
            }
            pbkdf2_hmac::<Sha256>(password, &salt.0, *c, key.as_mut_slice());
        }
    }
    Ok(key)
}

fn check_dklen(dklen: u32) -> Result<(), OpenError> {
    match usize::try_from(dklen) {
        Ok(DERIVED_KEY_LEN) => Ok(()),
        _ => Err(OpenError::OutOfBounds("dklen")),
    }
}

fn scrypt_params(n: u64, r: u32, p: u32) -> Result<scrypt::Params, OpenError> {
    if !n.is_power_of_two() || n < 2 {
        return Err(OpenError::OutOfBounds("n"));
    }
    if r == 0 || n.saturating_mul(128 * u64::from(r)) > SCRYPT_BYTES_MAX {
        return Err(OpenError::OutOfBounds("n"));
    }
    if p == 0 || p > SCRYPT_P_MAX {
        return Err(OpenError::OutOfBounds("p"));
    }
    let log_n = u8::try_from(n.trailing_zeros()).map_err(|_| OpenError::OutOfBounds("n"))?;
    scrypt::Params::new(log_n, r, p).map_err(|_| OpenError::OutOfBounds("n"))
}

fn apply_cipher(key: &DerivedKey, iv: &[u8], bytes: &mut [u8]) {
    let mut cipher = Cipher::new_from_slices(&key[..16], iv)
        .expect("the key has 16 bytes and the counter's length was checked");
    cipher.apply_keystream(bytes);
}

fn mac(key: &DerivedKey, ciphertext: &[u8]) -> [u8; 32] {
    keccak256([&key[16..], ciphertext].concat()).0
}

/// A version 4 UUID from the first 16 of `bytes`.
fn uuid_v4(bytes: &[u8]) -> String {
    let mut id: [u8; 16] = bytes[..16].try_into().expect("16 bytes were cut");
    id[6] = (id[6] & 0x0f) | 0x40;
    id[8] = (id[8] & 0x3f) | 0x80;
    let hex = alloy_primitives::hex::encode(id);
    [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The two documents of the Web3 Secret Storage definition; both hold the same secret.
    const SCRYPT: &str = include_str!("../tests/vectors/scrypt.json");
    const PBKDF2: &str = include_str!("../tests/vectors/pbkdf2.json");
    const SECRET: &str = "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d";

    fn parse(text: &str) -> Document {
        serde_json::from_str(text).unwrap()
    }

    fn check(document: &Document, password: &str, expected: Result<&str, OpenError>) {
        let opened = open(document, &Password::new(password.to_owned()));
        let opened = opened.map(|secret| alloy_primitives::hex::encode(&*secret));
        assert_eq!(opened, expected.map(str::to_owned));
    }

    #[test]
    fn opens_the_vectors_of_the_definition() {
        check(&parse(SCRYPT), "testpassword", Ok(SECRET));
        check(&parse(PBKDF2), "testpassword", Ok(SECRET));
        check(&parse(PBKDF2), "other", Err(OpenError::WrongPassword));
    }

    #[test]
    fn round_trip() {
        let password = Password::new("p\u{e4}ss".to_owned());
        let sealed = seal_with(&[7; 32], "ab".to_owned(), &password, &[5; 64], 4);
        let text = serde_json::to_string(&sealed).unwrap();
        let again = parse(&text);
        assert_eq!(again.id.len(), 36);
        assert_eq!(again.id.as_bytes()[14], b'4');
        check(&again, "p\u{e4}ss", Ok(&"07".repeat(32)));
        check(&again, "pass", Err(OpenError::WrongPassword));
    }

    #[test]
    fn a_changed_ciphertext_is_refused() {
        let password = Password::new("x".to_owned());
        let mut sealed = seal_with(&[7; 32], String::new(), &password, &[5; 64], 4);
        sealed.crypto.ciphertext.0[0] ^= 1;
        check(&sealed, "x", Err(OpenError::WrongPassword));
    }

    #[test]
    fn new_files_use_the_standard_parameters() {
        let sealed = seal(
            &[7; 32],
            String::new(),
            &Password::new("x".to_owned()),
            &[5; 64],
        );
        let json = serde_json::to_value(&sealed).unwrap();
        let params = &json["crypto"]["kdfparams"];
        assert_eq!(json["crypto"]["kdf"], "scrypt");
        assert_eq!(
            (&params["n"], &params["r"], &params["p"]),
            (&262_144.into(), &8.into(), &1.into())
        );
    }

    fn check_scrypt(n: u64, r: u32, p: u32, expected: Option<&'static str>) {
        let refused = scrypt_params(n, r, p).err();
        assert_eq!(
            refused,
            expected.map(OpenError::OutOfBounds),
            "n={n} r={r} p={p}"
        );
    }

    #[test]
    fn scrypt_limits() {
        check_scrypt(1 << 18, 8, 1, None);
        check_scrypt(1 << 20, 8, 1, None);
        check_scrypt(1 << 21, 8, 1, Some("n"));
        check_scrypt(1 << 63, 8, 1, Some("n"));
        check_scrypt(1 << 13, 8, 16, None);
        check_scrypt(1 << 13, 8, 17, Some("p"));
        check_scrypt(1 << 13, 8, 0, Some("p"));
        check_scrypt(1 << 13, 0, 1, Some("n"));
        check_scrypt(3, 8, 1, Some("n"));
        check_scrypt(1, 8, 1, Some("n"));
        check_scrypt(0, 8, 1, Some("n"));
    }

    fn check_field(pointer: &str, value: serde_json::Value, expected: OpenError) {
        let mut json: serde_json::Value = serde_json::from_str(PBKDF2).unwrap();
        *json.pointer_mut(pointer).unwrap() = value;
        let document = serde_json::from_value(json).unwrap();
        check(&document, "testpassword", Err(expected));
    }

    #[test]
    fn hostile_documents_are_refused_before_any_work() {
        use OpenError::*;
        check_field("/version", 1.into(), Version(1));
        check_field(
            "/crypto/cipher",
            "aes-256".into(),
            UnknownCipher("aes-256".into()),
        );
        check_field("/crypto/cipherparams/iv", "00".into(), OutOfBounds("iv"));
        check_field(
            "/crypto/ciphertext",
            "00".repeat(CIPHERTEXT_BYTES_MAX + 1).into(),
            OutOfBounds("ciphertext"),
        );
        check_field(
            "/crypto/kdfparams/c",
            (PBKDF2_ROUNDS_MAX + 1).into(),
            OutOfBounds("c"),
        );
        check_field("/crypto/kdfparams/c", 0.into(), OutOfBounds("c"));
        check_field("/crypto/kdfparams/dklen", 64.into(), OutOfBounds("dklen"));
        check_field(
            "/crypto/kdfparams/prf",
            "md5".into(),
            UnknownPrf("md5".into()),
        );
        check_field("/crypto/mac", "".into(), WrongPassword);
    }
}
