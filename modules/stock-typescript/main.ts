// What the host starts.

import { app } from "./stock.ts";

app.run();
