//! Permissions of API keys.

use crate::word::word_enum;

word_enum! {
    /// A permission of an API key; the first word is the resource, the second the action.
    Scope: "a scope such as workspace_run:read" {
        SandboxCreate = "sandbox:create",
        SandboxRead = "sandbox:read",
        SandboxKill = "sandbox:kill",
        SandboxExtend = "sandbox:extend",
        CommandRun = "command:run",
        CommandRead = "command:read",
        CommandCancel = "command:cancel",
        CodeRun = "code:run",
        FileRead = "file:read",
        FileWrite = "file:write",
        ArtifactCreate = "artifact:create",
        ArtifactRead = "artifact:read",
        ArtifactDelete = "artifact:delete",
        PreviewCreate = "preview:create",
        PreviewRead = "preview:read",
        PreviewRevoke = "preview:revoke",
        WorkspaceRunCreate = "workspace_run:create",
        WorkspaceRunRead = "workspace_run:read",
        WorkspaceRunCancel = "workspace_run:cancel",
        BackupCreate = "backup:create",
        BackupRead = "backup:read",
        BackupRestore = "backup:restore",
        BackupDelete = "backup:delete",
        UsageRead = "usage:read",
        ApiKeyRead = "api_key:read",
        ApiKeyRevoke = "api_key:revoke",
        ProjectCreate = "project:create",
        WebhookCreate = "webhook:create",
        WebhookRead = "webhook:read",
        WebhookDelete = "webhook:delete",
    }
}
