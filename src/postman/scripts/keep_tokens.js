// For the requests that need a sign-in.
if (pm.response.code === 200) {
    const tokens = pm.response.json();
    pm.collectionVariables.set("accessToken", tokens.access_token);
    pm.collectionVariables.set("refreshToken", tokens.refresh_token);
}
