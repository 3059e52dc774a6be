// What the window knows beside the snapshot, and what a click can ask for.

import type { TemplateResult } from 'lit-html';
import type { Audit, Incident, Snapshot } from './types';

/** What the engine is asked to do. */
export type Wish =
  | {
      verb: 'restart' | 'start' | 'stop' | 'hold' | 'release' | 'ensure' | 'repair';
      target: string;
    }
  | { verb: 'stop'; target: string; for: string }
  | { verb: 'raise'; target: string; to: number }
  | { verb: 'recover'; target?: string }
  | { verb: 'check' }
  | { verb: 'unload'; model: string }
  | { verb: 'unload'; idle: true }
  | { verb: 'unload'; all: true }
  | { verb: 'measure'; models?: string[] }
  | { verb: 'cancel_measure' }
  | { verb: 'take_over' }
  | { verb: 'give_back' }
  | { verb: 'cancel'; operation: string };

/** What only changes the window itself. */
export type Turn =
  /** `enter`: a click or the Enter key, which in a narrow window leads to the target's page. */
  | { turn: 'select'; target: string; enter: boolean }
  | { turn: 'back' }
  /** The first of the two clicks that a disruptive wish needs. */
  | { turn: 'ask'; wish: Wish }
  | { turn: 'open'; incident: string | null }
  | { turn: 'older' }
  | { turn: 'dismiss' }
  /** Opening it for the first time asks for it. */
  | { turn: 'audit'; open: boolean }
  | { turn: 'audit_again' }
  /** `key` names the button. */
  | { turn: 'copy'; text: string; key: string }
  | { turn: 'autostart'; on: boolean };

export type Act = (deed: Wish | Turn) => void;

export type Answer =
  | { status: 'accepted'; operation: string }
  | { status: 'done' }
  | { status: 'refused'; text: string };

/** An incident as a list gives it; its story may have to be asked for. */
export type ListedIncident = Omit<Incident, 'story'> & { story?: Incident['story'] };

export type IncidentPage = { incidents: ListedIncident[]; next: string | null };

export type View = {
  /** Milliseconds since 1970 on the engine's clock. */
  now: number;
  /** The id of the target on the right; null: the most urgent one. */
  selected: string | null;
  /** Which of the two a narrow window shows. */
  page: 'list' | 'target';
  /** The engine does not answer; the snapshot is the last one seen. */
  lost: boolean;
  mayAct: boolean;
  mac: boolean;
  /** Null: this page is not shown by the app. */
  autostart: boolean | null;
  /** The wish that waits for its second click, as `wishKey` writes it. */
  asking: string | null;
  /** Wishes that have no answer yet, as `wishKey` writes them. */
  sent: string[];
  /** Why the last wish was refused. */
  refusal: string | null;
  /** The id of the incident that is unfolded in the list. */
  opened: string | null;
  history: {
    incidents: ListedIncident[];
    next: string | null;
    state: 'reading' | 'read' | 'failed';
  };
  audit: {
    open: boolean;
    state: 'unasked' | 'reading' | 'read' | 'failed';
    /** What was found last; it stays while it is asked again. */
    found: Audit | null;
    /** Why it failed. */
    reason: string;
    /** The button whose lines were copied last. */
    copied: string | null;
  };
};

export type Backend = {
  /** Returns what ends the subscription. */
  subscribe(onSnapshot: (snapshot: Snapshot) => void, onLost: () => void): () => void;
  act(wish: Wish): Promise<Answer>;
  incidents(page: { next: string | null }): Promise<IncidentPage>;
  incident(id: string): Promise<Incident>;
  audit(): Promise<Audit>;
  autostart: { get(): Promise<boolean>; set(on: boolean): Promise<void> } | null;
  mayAct: boolean;
};

/** A piece of the page. */
export type Part = TemplateResult | typeof import('lit-html').nothing;
