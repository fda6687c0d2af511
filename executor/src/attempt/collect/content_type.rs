//! Media types of artifacts, by file extension. Only what reports and builds commonly leave; the rest is bytes.

pub(super) fn of_path(path: &str) -> &'static str {
    let extension = path.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    match extension.as_deref() {
        Some("xml") => "application/xml",
        Some("json" | "map" | "sarif") => "application/json",
        Some("html" | "htm") => "text/html; charset=utf-8",
        Some("txt" | "log" | "md" | "out") => "text/plain; charset=utf-8",
        Some("csv") => "text/csv; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("pdf") => "application/pdf",
        Some("zip" | "whl" | "jar") => "application/zip",
        Some("gz" | "tgz") => "application/gzip",
        Some("zst") => "application/zstd",
        Some("tar") => "application/x-tar",
        _ => "application/octet-stream",
    }
}
