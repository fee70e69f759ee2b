// What the host starts.

import { app } from "./app.ts";

app.run();
