// Bundles app.jsx below node_modules into app.js and app.css.
import { build } from 'esbuild';

await build({
  entryPoints: ['app.jsx'],
  bundle: true,
  minify: true,
  outfile: 'app.js',
  alias: { 'react-custom-scrollbars-2': './scrollbars.js' },
  define: { 'process.env.NODE_ENV': '"production"' },
  loader: { '.svg': 'text', '.png': 'dataurl', '.ttf': 'dataurl', '.woff': 'dataurl', '.woff2': 'dataurl' },
  logLevel: 'error',
});
