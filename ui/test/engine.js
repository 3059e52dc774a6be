// An engine without a loop: answers over real HTTP with a recorded picture, keeps what it was asked.

import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { auditFound, incidentPage, pageFile } from './support.js';

/**
 * @typedef {import('../types').Snapshot} Snapshot
 * @typedef {{ method: string, path: string, token: string | undefined, body: string }} Asked
 */

/**
 * @param {Snapshot} picture @param {number} [port] 0: any that is free.
 */
export const serve = async (picture, port = 0) => {
  /** @type {Asked[]} */
  const asked = [];
  /** @type {Set<import('node:http').ServerResponse>} */
  const streams = new Set();
  const recorded = await incidentPage();
  const found = await auditFound();
  /** How often an audit was asked for. */
  let audits = 0;
  /** What acting is answered with: status and body. @type {[number, object]} */
  let answer = [202, { operation: '01JPA7R' }];

  const server = createServer(async (request, response) => {
    const { pathname: path, searchParams } = new URL(request.url ?? '/', 'http://localhost');
    const method = request.method ?? 'GET';
    let body = '';
    for await (const piece of request) body += piece;
    const send = (/** @type {number} */ status, /** @type {object} */ content) => {
      response.writeHead(status, { 'Content-Type': 'application/json' });
      response.end(JSON.stringify(content));
    };
    if (method !== 'GET') {
      asked.push({
        method,
        path: decodeURIComponent(path),
        token: request.headers.authorization,
        body,
      });
      send(...answer);
    } else if (path === '/events') {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      response.write(`event: snapshot\ndata: ${JSON.stringify(picture)}\n\n`);
      streams.add(response);
    } else if (path === '/status') {
      send(200, picture);
    } else if (path === '/incidents') {
      send(
        200,
        searchParams.get('next') === null
          ? { ...recorded, next: 'b c' }
          : { incidents: [], next: null },
      );
    } else if (path === '/audit') {
      audits += 1;
      send(200, found);
    } else if (path.startsWith('/incidents/')) {
      send(200, recorded.incidents.find(({ id }) => path.endsWith(id)) ?? {});
    } else {
      const { file, type } = pageFile(path);
      const content = await readFile(file).catch(() => null);
      response.writeHead(content === null ? 404 : 200, {
        'Content-Type': type,
        'Content-Security-Policy': "default-src 'self'",
      });
      response.end(content);
    }
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const address = /** @type {import('node:net').AddressInfo} */ (server.address());

  return {
    url: `http://127.0.0.1:${address.port}`,
    asked,
    audits: () => audits,
    /** @param {number} status @param {object} body */
    answerWith: (status, body) => {
      answer = [status, body];
    },
    /** @param {Snapshot} next */
    publish: (next) => {
      picture = next;
      for (const stream of streams)
        stream.write(`event: snapshot\ndata: ${JSON.stringify(next)}\n\n`);
    },
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
};
