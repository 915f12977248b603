//! What a backend answers that does not have an operation.

use std::fmt;

use super::trial::{Checked, broken};
use crate::{Result as StoreResult, StoreError};

pub(super) fn is_unsupported<T: fmt::Debug>(method: &str, result: StoreResult<T>) -> Checked {
    match result {
        Err(StoreError::Unsupported { operation }) if operation == method => Ok(()),
        seen => broken(format!(
            "{method}, which is not declared, returned {seen:?}"
        )),
    }
}
