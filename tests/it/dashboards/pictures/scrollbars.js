// @grafana/ui imports the default export of this CommonJS module, which is not where its own bundler looks for it.
import { Scrollbars } from '../node_modules/react-custom-scrollbars-2/lib/index.js';

export default Scrollbars;
