//! The style sheet of the page, and the policy that lets a browser use this sheet and nothing else.
//!
//! No font, image or sheet from elsewhere. Every pair of colours has a contrast of at least 4.5:1 (WCAG 2.2, 1.4.3) in
//! both schemes; a state is a sign and a word before it is a colour. Nothing moves.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The sheet, as it is in the page.
pub const STYLE: &str = "\
:root{color-scheme:light dark;--bg:#eef0f3;--card:#fff;--ink:#14181c;--dim:#505b66;--line:#d3d9df;--code:#f3f5f7;\
--ok:#176b3a;--unknown:#5a4791;--degraded:#874f00;--down:#b3261e;--link:#0b57a4;\
--p1:#8a6fd1;--p2:#2f7fd0;--p3:#c77700;--p4:#1f8a55;--p5:#7a8794}\
@media (prefers-color-scheme:dark){:root{--bg:#0e1216;--card:#181d23;--ink:#e7eaed;--dim:#a7b1bb;--line:#343c46;\
--code:#10151a;--ok:#74d69e;--unknown:#c5b6f7;--degraded:#f5bf5b;--down:#ff9a90;--link:#8cc2ff}}\
*{box-sizing:border-box}html{-webkit-text-size-adjust:100%}\
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.45 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}\
header,main,footer{max-width:1240px;margin:0 auto;padding:0 16px}\
h1{margin:0;font-size:24px;line-height:1.25;overflow-wrap:anywhere}h2{font-size:17px;margin:22px 0 8px}\
h3{font-size:16px;margin:0 0 4px;overflow-wrap:anywhere}p{margin:4px 0;overflow-wrap:anywhere}\
a{color:var(--link)}a:focus-visible,[tabindex]:focus-visible{outline:3px solid var(--link);outline-offset:2px}\
.band{padding:14px 0;color:#fff;background:#176b3a}.band.unknown{background:#54448a}.band.down{background:#a8201a}\
.band.degraded{background:#f2b84b;color:#241a02}.band p{font-size:14px}.band a{color:inherit}\
.word{font-size:13px;font-weight:700;letter-spacing:.5px;text-transform:uppercase}\
.card{background:var(--card);border:1px solid var(--line);border-left-width:6px;border-radius:6px;padding:10px 14px;\
margin:0 0 10px}.card.plain{border-left-width:1px}\
.card.ok{border-left-color:var(--ok)}.card.unknown{border-left-color:var(--unknown)}\
.card.degraded{border-left-color:var(--degraded)}.card.down{border-left-color:var(--down)}\
.s{font-weight:700}.s.ok{color:var(--ok)}.s.unknown{color:var(--unknown)}\
.s.degraded{color:var(--degraded)}.s.down{color:var(--down)}\
.dim,small{color:var(--dim);font-size:13px}time,.at{white-space:nowrap}\
ul{margin:4px 0;padding-left:20px}li{overflow-wrap:anywhere}\
dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 12px;margin:6px 0}dt{color:var(--dim)}dd{margin:0;\
overflow-wrap:anywhere}\
pre{margin:4px 0;padding:8px 10px;background:var(--code);border:1px solid var(--line);border-radius:4px;\
font:13px/1.5 ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;white-space:pre-wrap;overflow-wrap:anywhere}\
pre span{display:inline-block;max-width:100%;word-break:break-all}\
.wide{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:6px;margin:0 0 12px}\
table{border-collapse:collapse;width:100%;font-size:14px}caption{text-align:left;padding:8px 12px;font-weight:700}\
th,td{text-align:left;vertical-align:top;padding:6px 12px;border-top:1px solid var(--line)}\
thead th{font-size:13px;color:var(--dim);font-weight:600}tbody th{font-weight:600;overflow-wrap:anywhere}\
.addr{white-space:nowrap;font-weight:400}td{overflow-wrap:break-word}svg.bar{display:block;width:100%;max-width:220px;height:6px;margin:3px 0;\
background:var(--line);border-radius:3px}\
.resolve{fill:var(--p1)}.connect{fill:var(--p2)}.tls{fill:var(--p3)}.processing{fill:var(--p4)}.transfer{fill:var(--p5)}\
.used{fill:var(--ok)}.used.degraded{fill:var(--degraded)}.used.down{fill:var(--down)}.free{fill:var(--p5)}\
.tick{fill:var(--ink)}.key{width:10px;height:10px;margin:0 4px 0 12px}\
.stale main{filter:grayscale(1)}\
nav{margin:8px 0}nav a,nav b{margin-right:14px}footer{padding:16px;color:var(--dim);font-size:13px}\
@media (max-width:720px){header,main,footer{padding:0 10px}h1{font-size:20px}\
.cards,.cards tbody,.cards tr,.cards td,.cards th,.cards caption{display:block}.cards thead{display:none}\
.cards tr{border-top:1px solid var(--line);padding:6px 0}.cards th,.cards td{border:0;padding:3px 12px}\
.cards th,.cards td{overflow-wrap:anywhere}.cards .addr{white-space:normal}.cards td::before{content:attr(data-l);display:block;color:var(--dim);font-size:12px}\
.cards tr{display:grid;grid-template-columns:repeat(2,minmax(0,1fr))}.cards tr>*{min-width:0}\
.cards tr>th,.cards tr>.all{grid-column:1/-1}dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:4px}}";

/// The Content-Security-Policy of the page: this sheet by its hash, the icon inside the page, nothing else at all.
pub static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
});
