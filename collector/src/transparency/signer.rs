//! provisional
use ring::signature::{Ed25519KeyPair, KeyPair};
#[derive(Debug)]
pub(crate) struct Signer(Ed25519KeyPair);
impl Signer {
    pub(crate) fn test() -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[1; 32]).expect("seed"))
    }
    pub(crate) fn public_key(&self) -> [u8; 32] {
        self.0.public_key().as_ref().try_into().expect("32")
    }
    pub(crate) fn public_keys(&self) -> Vec<[u8; 32]> {
        vec![self.public_key()]
    }
    pub(crate) async fn sign(&self, message: &[u8]) -> anyhow::Result<Vec<u8>> {
        Ok(self.0.sign(message).as_ref().to_vec())
    }
}
