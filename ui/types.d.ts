// Generated from src-tauri/engine/src/view.rs by ts-rs; do not edit by hand.

/**
 * Everything there is to see at one moment.
 */
export type Snapshot = { version: string, 
/**
 * RFC 3339, UTC.
 */
at: string, summary: Summary, 
/**
 * The whole machine in one sentence, and what else there is to say.
 */
headline: string, subline: string, targets: Array<Target>, models: Array<Model>, memory: Memory, 
/**
 * Open incidents only; the others are asked for page by page.
 */
incidents: Array<Incident>, operations: Array<Operation>, fallback: boolean, 
/**
 * Newest measurement of each model.
 */
timings: Array<ModelTiming>, 
/**
 * About Homeostat itself: a port taken, a bad configuration, a damaged journal.
 */
messages: Array<string>, 
/**
 * None: no other healer runs here, and none was ended by us.
 */
takeover?: Takeover, 
/**
 * `en` or `ru`.
 */
language: string, };

export type Summary = "well" | "healing" | "attention" | "unknown";

export type Target = { 
/**
 * `host`, `docker`, `ollama`, `mlx`, `container:NAME`, `service:NAME`.
 */
id: string, kind: string, name: string, state: State, 
/**
 * RFC 3339, UTC: since when it is in this state.
 */
since: string, intent: Intent, inhibited_by: string | null, cause: Cause | null, restarts_last_hour: number, 
/**
 * What a click may ask for now: `restart`, `start`, `stop`, `pause` (a stop for
 * an hour), `ensure`, `repair`, `raise`, `hold`, `release`.
 */
actions: Array<string>, 
/**
 * One short line under the name: a version, an address, how long it is up.
 */
line: string, why: Why, 
/**
 * False: neither configured nor ever seen alive, shown as "not found".
 */
found: boolean, 
/**
 * What only this kind has, as text by name.
 */
detail: { [key in string]: JsonValue }, };

export type State = "unknown" | "starting" | "healthy" | "slow" | "degraded" | "down" | "recovering" | "given_up";

export type Intent = "wanted" | "held" | "completed";

export type Cause = { 
/**
 * Stable, such as `ollama.not_running`.
 */
id: string, text: string, 
/**
 * `certain`, `likely`, `possible`.
 */
confidence: string, evidence: Array<string>, advice: string, };

/**
 * Why it is in this state, what would change that, and what happens next. Times are RFC 3339, UTC.
 */
export type Why = { 
/**
 * The rule that holds it here, such as `R11`.
 */
rule: string, text: string, 
/**
 * When the next look or attempt is due.
 */
next: string | null, 
/**
 * Since when it is so.
 */
since: string, 
/**
 * What would change it, the nearest first.
 */
changes: Array<string>, 
/**
 * How the next look comes about.
 */
look: Look, 
/**
 * None: one is under way, or nobody knows when.
 */
next_look: string | null, 
/**
 * When the next attempt or trial may begin by itself.
 */
next_attempt: string | null, 
/**
 * Why nothing is done; none while something is, or while there is nothing to do.
 */
nothing_done: string | null, 
/**
 * The rule that says so.
 */
nothing_done_rule: string | null, };

export type Look = "at" | "now" | "told" | "waits";

/**
 * A model that is in memory.
 */
export type Model = { 
/**
 * `ollama` or `mlx`.
 */
server: string, name: string, size_bytes: number, vram_bytes: number, context_length: number, 
/**
 * Seconds until its server unloads it; none: never.
 */
expires_in_s: number | null, pinned: boolean, tokens_per_s: number | null, };

export type Memory = { total_bytes: number, available_bytes: number, 
/**
 * 1 normal, 2 warning, 4 critical; 0 not known yet.
 */
pressure: number, swap_total_bytes: number, swap_used_bytes: number, 
/**
 * What the GPU may hold of it (macOS, `iogpu.wired_limit_mb`); none: there is no such limit.
 */
gpu_limit_bytes: number | null, 
/**
 * A person set that limit; else it is about what the system allows.
 */
gpu_limit_is_set: boolean, groups: Array<MemoryGroup>, 
/**
 * How hard each model server worked in each of the last sixty minutes.
 */
work: Array<ServerWork>, };

export type MemoryGroup = { name: string, bytes: number, processes: number, 
/**
 * By how much it has grown; none: nothing is known of that time.
 */
grew_10m_bytes: number | null, grew_6h_bytes: number | null, 
/**
 * In steps of ten minutes over the last six hours, oldest first; none: not read.
 */
history: (number | null)[], };

export type ServerWork = { 
/**
 * `ollama` or `mlx`.
 */
server: string, 
/**
 * Per cent of one core, at most, minute by minute, oldest first; none: not read.
 */
percent: Array<number | null>, };

export type Incident = { id: string, target: string, cause: Cause, 
/**
 * `open`, `healing`, `given_up`, `verified`, `healed_itself`, `closed`.
 */
state: string, 
/**
 * RFC 3339, UTC.
 */
opened: string, closed: string | null, detected_after_ms: number, answering_after_ms: number | null, recovered_after_ms: number | null, attempts: number, 
/**
 * Names of the targets that suffer with this one and have no incident of their own.
 */
affects: Array<string>, 
/**
 * What a container wrote last, the newest line last; without prompts and secrets.
 */
log: Array<string>, story: Array<StoryLine>, };

export type StoryLine = { 
/**
 * RFC 3339, UTC.
 */
at: string, 
/**
 * `seen`, `concluded`, `done`, `proven`, `failed`.
 */
kind: string, text: string, };

export type Operation = { id: string, target: string, 
/**
 * `check`, `start`, `stop`, `restart`, `unload`, `measure`, `ensure`, `verify`, `repair`, `raise`.
 */
verb: string, state: OperationState, steps: Array<OperationStep>, 
/**
 * How it went, or is going, in one sentence.
 */
text: string, done: number | null, of: number | null, };

export type OperationState = "running" | "verified" | "failed" | "superseded";

export type OperationStep = { at: string, text: string, };

export type ModelTiming = { server: string, model: string, at: string, load_ms: number | null, first_token_ms: number | null, prompt_tokens_per_s: number | null, tokens_per_s: number | null, memory_bytes: number | null, error: string | null, };

/**
 * Other programs that heal the same things, and what a click may do about them (C12).
 */
export type Takeover = { 
/**
 * One sentence.
 */
text: string, 
/**
 * Those that run, one line each.
 */
others: Array<string>, 
/**
 * `take_over`, `give_back`, both or neither.
 */
can: Array<string>, };

/**
 * A native notification, with its words.
 */
export type NoticeView = { 
/**
 * `problem`, `out_of_memory`, `needs_you`, `recovered`, `restart_rate`, `flapping`, `held`,
 * `digest`, `ourselves`.
 */
kind: string, target: string, cause: string | null, title: string, body: string, 
/**
 * What its button does: `show`, `start`, `restart`, `release`; and its word.
 */
button: string, button_text: string, 
/**
 * It ends nothing that was told before: no reason to call anybody.
 */
quiet: boolean, incident: string | null, at: string, 
/**
 * Names it when it could not be shown; 0: the loop's own, which nobody keeps.
 */
id: number, };

/**
 * All that was found, in words.
 */
export type Audit = { 
/**
 * Nothing of it is an error.
 */
ok: boolean, 
/**
 * RFC 3339, UTC: when it was looked.
 */
at: string, findings: Array<FindingView>, 
/**
 * Compose files that were read.
 */
files: Array<string>, 
/**
 * How many were looked at; null: Docker did not answer.
 */
containers: number | null, };

/**
 * A finding in words.
 */
export type FindingView = { id: Kind, severity: Severity, file: string | null, line: number | null, column: number | null, service: string | null, text: string, why: string, fix: FixView | null, };

/**
 * What to write: the lines stand before the line `line` where nothing is replaced, else in the place
 * of what stands between the two marks.
 */
export type FixView = { file: string, 
/**
 * From 1.
 */
line: number, 
/**
 * Characters before it in its line.
 */
column: number, end_line: number, end_column: number, 
/**
 * The place in words: before which line, behind what, or in place of what.
 */
place: string, lines: Array<string>, };

/**
 * Its name is the stable id of a finding.
 */
export type Kind = "broken" | "not_followed" | "file_missing" | "restart_missing" | "restart_no" | "memory_limit_missing" | "memory_limit_too_large" | "memory_limits_exceed_host" | "memory_limit_below_peak" | "docker_memory_small" | "host_gateway_missing" | "model_url_missing" | "model_url_localhost" | "webhook_missing" | "webhook_wrong" | "health_missing" | "health_wrong_port" | "health_start_short" | "health_no_curl" | "elk_on" | "light_start_missing" | "startup_limits_missing" | "startup_limit_short" | "monitor_delay" | "client_limit_short" | "depends_without_condition" | "depends_unknown" | "port_clash" | "port_twice" | "rival_port" | "rival_supervisors" | "autostart_missing" | "engine_absent" | "container_differs" | "starts_heavy";

export type Severity = "note" | "warning" | "error";

export type JsonValue = number | string | boolean | Array<JsonValue> | { [key in string]: JsonValue } | null;
