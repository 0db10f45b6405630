// In the hidden frame of a silent sign-in: hands the server's answer to the page around it.
"use strict";
new oidc.UserManager({}).signinSilentCallback();
