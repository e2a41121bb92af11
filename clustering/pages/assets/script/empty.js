// The page before the first map: it is loaded again once there is one.
setInterval(async () => {
  try {
    if ((await fetch("latest.json")).ok) location.reload();
  } catch { /* the server is away: asked again */ }
}, 5000);
