// Shows a recorded snapshot in a browser: `npm run preview healing`, then open the address.

import { argv } from 'node:process';
import { serve } from './engine.js';
import { snapshot } from './support.js';

const [name = 'well', port = '9098'] = argv.slice(2);
const { url } = await serve(await snapshot(name), Number(port));
process.stdout.write(`${url}/#token=preview shows ${name}\n`);
