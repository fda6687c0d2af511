//! Advice about the error codes of the contract, for people.

/// `None` where the message has to say it all.
pub(crate) fn remediation(code: &str) -> Option<&'static str> {
    Some(match code {
        "unauthorized" | "invalid_api_key" => {
            "Check the API key: `crownest login` saves another one; CROWNEST_BEARER_TOKEN wins over CROWNEST_API_KEY."
        }
        "forbidden" => "Use an API key that has the required scope and may use this project.",
        "not_found" => "Check the id, and that the key may see its project (`crownest projects list`).",
        "idempotency_key_reused" => "Use another --idempotency-key: this one belongs to a different request.",
        "idempotency_request_in_progress" => "Wait until the first request with this key has ended, then try again.",
        "legal_hold" => "Ask the operator of this CrowNest: only an operator clears a legal hold.",
        "upload_conflict" => "Look at `crownest workspace-runs status`: the run has an archive already, or has ended.",
        "upload_not_found" | "upload_expired" | "upload_incomplete" => "Upload the archive again.",
        "upload_checksum_mismatch" | "upload_size_mismatch" => {
            "The archive changed during the upload, or was damaged on its way. Upload it again."
        }
        "file_too_large" => "Make the archive smaller: leave out what the command does not need.",
        "invalid_metadata_key" | "invalid_metadata_value" | "metadata_too_large" | "metadata_too_many_keys" => {
            "Shorten or drop some --metadata."
        }
        "reserved_env_key" => "Use another name for the variable; the command itself may set the sandbox's own ones.",
        "path_outside_workspace" => "Give artifact paths inside of /workspace.",
        "quota_exceeded" => "See `crownest usage` for the quotas; wait for running work to end, or change the plan.",
        "rate_limited" => "Wait a moment, then try again.",
        "credit_exhausted" | "billing_spend_cap_reached" => {
            "See `crownest usage`; buy credits or raise the spending cap."
        }
        "org_suspended" => "Ask the operator of this CrowNest why the organization is suspended.",
        "service_unavailable" => {
            "Wait a moment, then try again: the operator may have to free space in the object store."
        }
        "internal_error" => "Try again; if it persists, tell the operator of this CrowNest.",
        _ => return None,
    })
}
